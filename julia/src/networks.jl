# Networks that several studies share, as Flux chains.

"""
The neural ODE's right-hand side F(u) = W2 tanh(W1 u^3 + b1) + b2 as a Flux chain, from the 5 m + 2
numbers theta = vec(W1), b1, vec(W2), b2, column by column (the order of `Flux.destructure`).

Flux's `Dense` takes NNlib's `tanh_fast` where it is given `tanh`: up to 4 ulps from `tanh` in Float64.
That is what a user of Flux gets, so it stays; it is rounding, and the budgets hold it.
"""
function neural_ode_chain(theta)
    m = (length(theta) - 2) ÷ 5
    W1, b1 = reshape(theta[1:(2 * m)], m, 2), theta[(2 * m + 1):(3 * m)]
    W2, b2 = reshape(theta[(3 * m + 1):(5 * m)], 2, m), theta[(5 * m + 1):end]
    return Chain(cube, Dense(W1, b1, tanh), Dense(W2, b2))
end

cube(u) = u .* u .* u

"f(t, u, theta) of the neural ODE; t is not used."
neural_ode(t, u, theta) = neural_ode_chain(theta)(u)
