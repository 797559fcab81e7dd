use super::*;

/// One value of an activation, by its definition; exp, tanh and the like from their own kernels, one lane.
fn activation(function: Activation<f32>, x: f32) -> f32 {
    let lane = |f: fn(Simd<f32, 1>) -> Simd<f32, 1>, x: f32| f(Simd::splat(x))[0];
    use crate::functions::f32 as functions;
    // Baseline's multiply-add is exact, so it stands for all.
    let (exp, tanh) = (functions::exp::<Baseline, 1>, functions::tanh::<Baseline, 1>);
    match function {
        Activation::Sigmoid => lane(functions::sigmoid::<Baseline, 1>, x),
        Activation::Tanh => lane(tanh, x),
        Activation::Relu => {
            if x > 0.0 || x.is_nan() {
                x
            } else {
                0.0
            }
        }
        Activation::Softplus => lane(functions::softplus::<Baseline, 1>, x),
        Activation::Softsign => x / (1.0 + x.abs()),
        Activation::Affine(a, b) => a * x + b,
        Activation::LeakyRelu(a) => {
            if x < 0.0 {
                a * x
            } else {
                x
            }
        }
        Activation::ThresholdedRelu(a) => {
            if x > a {
                x
            } else {
                0.0
            }
        }
        Activation::ScaledTanh(a, b) => a * lane(tanh, b * x),
        Activation::HardSigmoid(a, b) => {
            let line = a * x + b;
            if line.is_nan() {
                line
            } else if line > 1.0 {
                1.0
            } else if line > 0.0 {
                line
            } else {
                0.0
            }
        }
        Activation::Elu(a) => {
            if x < 0.0 {
                a * (lane(exp, x) - 1.0)
            } else {
                x
            }
        }
    }
}

fn value(i: usize) -> f32 {
    match i % 61 {
        13 => -0.0,
        29 => f32::NAN,
        47 => f32::NEG_INFINITY,
        _ => ((i * 7919 % 2003) as f32 - 1000.0) * 0.004_1,
    }
}

const ALL: [Activation<f32>; 11] = [
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::Relu,
    Activation::Softplus,
    Activation::Softsign,
    Activation::Affine(1.5, -0.3),
    Activation::LeakyRelu(0.01),
    Activation::ThresholdedRelu(0.7),
    Activation::ScaledTanh(1.3, 0.6),
    Activation::HardSigmoid(0.2, 0.5),
    Activation::Elu(0.9),
];

fn numbers(n: usize, from: usize) -> Vec<f32> {
    (0..n).map(|i| value(i + from)).collect()
}

fn same(isa: Isa, functions: &[Activation<f32>], got: f32, want: f32) {
    let same = got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan();
    assert!(same, "{} {functions:?}: {got:e}, not {want:e}", isa.name());
}

#[test]
fn an_lstm_step_is_its_definition_on_every_isa() {
    for k in 0..ALL.len() {
        let functions = [ALL[k], ALL[(k + 1) % 11], ALL[(k + 2) % 11]];
        let hidden = [1, 3, 8, 16, 17, 35][k % 6];
        let (bias, peephole) = (numbers(4 * hidden, 5), numbers(3 * hidden, 900));
        let gates = Gates { bias: (k % 3 > 0).then_some(&bias[..]), clip: (k % 4 > 1).then_some(2.5), hidden };
        let cell = Lstm { gates, peephole: (k % 2 > 0).then_some(&peephole[..]), functions, input_forget: k % 5 == 4 };
        let (rows, chains) = (3, numbers(12 * hidden, 77));
        let old = numbers(rows * hidden, 4000);
        for &isa in Isa::available() {
            let (mut c, mut h) = (old.clone(), vec![7.0; rows * hidden]);
            cell.step(isa, &chains, &mut c, &mut h);
            for at in 0..rows * hidden {
                let (want_c, want_h) = expected(&cell, &chains[at / hidden * 4 * hidden..], at % hidden, old[at]);
                same(isa, &functions, c[at], want_c);
                same(isa, &functions, h[at], want_h);
            }
        }
    }
}

fn clipped(gates: Gates<f32>, x: f32) -> f32 {
    match gates.clip {
        Some(b) if x > b => b,
        Some(b) if x < -b => -b,
        _ => x,
    }
}

/// The chain of a gate's hidden value `j`, and its bias.
fn gate_value(gates: Gates<f32>, chains: &[f32], gate: usize, j: usize) -> f32 {
    let a = chains[gate * gates.hidden + j];
    gates.bias.map_or(a, |bias| a + bias[gate * gates.hidden + j])
}

/// The next c and h of hidden value `j`.
fn expected(cell: &Lstm<f32>, chains: &[f32], j: usize, old: f32) -> (f32, f32) {
    let hidden = cell.gates.hidden;
    let act = |function, x: f32| activation(function, clipped(cell.gates, x));
    let a = |gate: usize| gate_value(cell.gates, chains, gate, j);
    let peep = |gate: usize, c: f32| cell.peephole.map_or(a(gate), |p| a(gate) + p[gate * hidden + j] * c);
    let [f_act, g_act, h_act] = cell.functions;
    let i = act(f_act, peep(0, old));
    let f = if cell.input_forget { 1.0 - i } else { act(f_act, peep(2, old)) };
    let new = f * old + i * act(g_act, a(3));
    (new, act(f_act, peep(1, new)) * act(h_act, new))
}

#[test]
fn an_rnn_step_is_its_definition_on_every_isa() {
    for (k, &function) in ALL.iter().enumerate() {
        let hidden = [1, 3, 8, 16, 17, 35][k % 6];
        let (rows, chains, bias) = (3, numbers(3 * hidden, 77), numbers(hidden, 5));
        let gates = Gates { bias: (k % 3 > 0).then_some(&bias[..]), clip: (k % 4 > 1).then_some(2.5), hidden };
        for &isa in Isa::available() {
            let mut h = vec![7.0; rows * hidden];
            Rnn { gates, function }.step(isa, &chains, &mut h);
            for (at, &got) in h.iter().enumerate() {
                let a = gate_value(gates, &chains[at / hidden * hidden..], 0, at % hidden);
                same(isa, &[function], got, activation(function, clipped(gates, a)));
            }
        }
    }
}

#[test]
fn a_gru_step_is_its_definition_on_every_isa() {
    for k in 0..ALL.len() {
        let functions = [ALL[k], ALL[(k + 1) % 11]];
        let hidden = [1, 3, 8, 16, 17, 35][k % 6];
        let (rows, bias, own) = (3, numbers(3 * hidden, 5), numbers(2 * hidden, 900));
        let (chains, old, u) = (numbers(9 * hidden, 77), numbers(3 * hidden, 4000), numbers(3 * hidden, 333));
        let gates = Gates { bias: (k % 3 > 0).then_some(&bias[..]), clip: (k % 4 > 1).then_some(2.5), hidden };
        let cell = Gru { gates, functions };
        let biases = (k % 3 > 0).then(|| [&own[..hidden], &own[hidden..]]);
        let act = |function, x: f32| activation(function, clipped(gates, x));
        for &isa in Isa::available() {
            let (mut halves, mut reset) = (chains.clone(), vec![7.0; rows * hidden]);
            cell.reset(isa, &mut halves, &old, &mut reset);
            let (mut h, mut h_linear) = (old.clone(), old.clone());
            cell.update(isa, &halves, &mut h);
            cell.step_linear(isa, &chains, LinearGate { chains: &u, biases }, &mut h_linear);
            for at in 0..rows * hidden {
                let (row, j) = (&chains[at / hidden * 3 * hidden..], at % hidden);
                let [z, r] = [0, 1].map(|gate| act(functions[0], gate_value(gates, row, gate, j)));
                same(isa, &functions, reset[at], r * old[at]);
                let next = |a| (1.0 - z) * act(functions[1], a) + z * old[at];
                same(isa, &functions, h[at], next(gate_value(gates, row, 2, j)));
                let x = row[2 * hidden + j];
                let linear = biases.map_or(x + r * u[at], |[w, of_r]| x + r * (u[at] + of_r[j]) + w[j]);
                same(isa, &functions, h_linear[at], next(linear));
            }
        }
    }
}

#[test]
fn doubles_step_too() {
    let functions = [Activation::Sigmoid, Activation::Tanh, Activation::Tanh];
    let gates = Gates { bias: None, clip: None, hidden: 5 };
    let cell = Lstm { gates, peephole: None, functions, input_forget: false };
    let chains: Vec<f64> = (0..20).map(|i| value(i) as f64 * 0.1).collect();
    let results: Vec<Vec<u64>> = Isa::available()
        .iter()
        .map(|&isa| {
            let (mut c, mut h) = (vec![0.25; 5], vec![0.0; 5]);
            cell.step(isa, &chains, &mut c, &mut h);
            c.iter().chain(&h).map(|x| if x.is_nan() { !0 } else { x.to_bits() }).collect()
        })
        .collect();
    assert!(results.iter().all(|r| *r == results[0]));
}
