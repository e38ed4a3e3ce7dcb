"""
MessagePack, as much of it as the headers of messages need: nil, true, false, integers, floats, text,
bytes, arrays and maps with text keys. Arrays of numbers do not go this way; see `serve.jl`.

Specification: msgpack.org.
"""
module Wire

export decode, encode

"Decode one value. Maps become `Dict{String,Any}`, arrays `Vector{Any}`, floats `Float64`."
function decode(bytes::AbstractVector{UInt8})
    value, next = read_value(bytes, 1)
    next == length(bytes) + 1 || throw(ArgumentError("$(length(bytes) - next + 1) bytes too many"))
    return value
end

function read_value(b, i)
    tag = b[i]
    i += 1
    tag <= 0x7f && return Int(tag), i
    tag >= 0xe0 && return Int(reinterpret(Int8, tag)), i
    tag <= 0x8f && return read_map(b, i, tag & 0x0f)
    tag <= 0x9f && return read_array(b, i, tag & 0x0f)
    tag <= 0xbf && return read_text(b, i, tag & 0x1f)
    tag == 0xc0 && return nothing, i
    tag == 0xc2 && return false, i
    tag == 0xc3 && return true, i
    tag == 0xca && return Float64(read_number(Float32, b, i)), i + 4
    tag == 0xcb && return read_number(Float64, b, i), i + 8
    tag == 0xcc && return Int(b[i]), i + 1
    tag == 0xcd && return Int(read_number(UInt16, b, i)), i + 2
    tag == 0xce && return Int(read_number(UInt32, b, i)), i + 4
    tag == 0xcf && return Int(read_number(UInt64, b, i)), i + 8
    tag == 0xd0 && return Int(reinterpret(Int8, b[i])), i + 1
    tag == 0xd1 && return Int(read_number(Int16, b, i)), i + 2
    tag == 0xd2 && return Int(read_number(Int32, b, i)), i + 4
    tag == 0xd3 && return read_number(Int64, b, i), i + 8
    tag == 0xd9 && return read_text(b, i + 1, b[i])
    tag == 0xda && return read_text(b, i + 2, read_number(UInt16, b, i))
    tag == 0xdb && return read_text(b, i + 4, read_number(UInt32, b, i))
    tag == 0xc4 && return read_bytes(b, i + 1, b[i])
    tag == 0xc5 && return read_bytes(b, i + 2, read_number(UInt16, b, i))
    tag == 0xc6 && return read_bytes(b, i + 4, read_number(UInt32, b, i))
    tag == 0xdc && return read_array(b, i + 2, read_number(UInt16, b, i))
    tag == 0xdd && return read_array(b, i + 4, read_number(UInt32, b, i))
    tag == 0xde && return read_map(b, i + 2, read_number(UInt16, b, i))
    tag == 0xdf && return read_map(b, i + 4, read_number(UInt32, b, i))
    throw(ArgumentError("MessagePack tag $(repr(tag)) is not used here"))
end

function read_number(::Type{T}, b, i) where {T}
    bits = zero(unsigned_of(T))
    for k in 0:(sizeof(T) - 1)
        bits = (bits << 8) | b[i + k]
    end
    return reinterpret(T, bits)
end

unsigned_of(::Type{T}) where {T <: Unsigned} = T
unsigned_of(::Type{T}) where {T <: Signed} = unsigned(T)
unsigned_of(::Type{Float32}) = UInt32
unsigned_of(::Type{Float64}) = UInt64

read_text(b, i, n) = String(b[i:(i + n - 1)]), i + Int(n)
read_bytes(b, i, n) = Vector{UInt8}(b[i:(i + n - 1)]), i + Int(n)

function read_array(b, i, n)
    out = Vector{Any}(undef, n)
    for k in 1:n
        out[k], i = read_value(b, i)
    end
    return out, i
end

function read_map(b, i, n)
    out = Dict{String, Any}()
    for _ in 1:n
        key, i = read_value(b, i)
        out[key::String], i = read_value(b, i)
    end
    return out, i
end

"Encode a value built of `nothing`, Bool, numbers, text, symbols, vectors, tuples and dictionaries."
encode(value) = take!(put(IOBuffer(), value))

put(io, x) = throw(ArgumentError("a $(typeof(x)) does not cross; numbers, text, vectors and dictionaries do"))
put(io, ::Nothing) = (write(io, 0xc0); io)
put(io, x::Bool) = (write(io, x ? 0xc3 : 0xc2); io)
put(io, x::Integer) = (write(io, 0xd3, hton(Int64(x))); io)
put(io, x::AbstractFloat) = (write(io, 0xcb, hton(reinterpret(UInt64, Float64(x)))); io)
put(io, x::Symbol) = put(io, String(x))

function put(io, x::AbstractString)
    bytes = codeunits(String(x))
    write(io, 0xdb, hton(UInt32(length(bytes))), bytes)
    return io
end

function put(io, x::Union{AbstractVector, Tuple})
    write(io, 0xdd, hton(UInt32(length(x))))
    foreach(value -> put(io, value), x)
    return io
end

function put(io, x::AbstractDict)
    write(io, 0xdf, hton(UInt32(length(x))))
    for (key, value) in x
        put(put(io, String(key)), value)
    end
    return io
end

end
