# Compiled when the package is: every study, small, so that a first live run need not wait for it.

# Julia 1.10.2 may crash when it loads an image as large as this one (in `must_be_new_dt`, restoring
# types); juliacall's own package asks for 1.10.3. There, each study compiles when it is first asked.
if VERSION >= v"1.10.3"
    @compile_workload begin
        for name in studies()
            path = joinpath(FIXTURES, "$name.bin")
            include_dependency(path)
            isfile(path) || continue
            (; inputs, options) = read_fixture(path)
            input_hash(inputs)
            prepared = Prepared(name, STUDIES[name], inputs, options, nothing)
            for (part, compute) in prepared.study.parts
                # A part that fails here fails again, with its message, when it is asked for.
                try
                    outgoing(filter(pair -> pair.second isa Union{Number, Array}, compute(inputs, options)))
                catch failure
                    @warn "precompiling $name, $part" failure
                end
            end
            foreach(task -> seconds_of(task, 1), values(tasks_of(prepared)))
        end
        bytes = Wire.encode(Dict("id" => 1, "function" => "echo", "arrays" => Any[],
                                 "arguments" => Dict{String, Any}("a" => Any[1, 2.0, "x", nothing])))
        GC.@preserve bytes serve(UInt(pointer(bytes)), length(bytes), UInt(0))
        KEPT[] = nothing
    end
end
