//! The stages of an equation.

use smallvec::SmallVec;

use super::equation::{Axes, Equation, Labels};
use crate::broadcast::{Walk, contiguous_strides};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::PlanCx;
use crate::ops::matmul::{Product, Tasks};
use crate::tensor::{Shape, element_count};

/// Products of matrices with fewer elements than this in the result are not worth a call of the matrix product each.
const SMALL: usize = 16;

type Strides = SmallVec<[isize; 8]>;

/// Where an operand's elements are: an input, or a room of the workspace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum At {
    Input(usize),
    Room(usize),
}

/// Where a stage writes: the output, or a room.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum To {
    Output,
    Room(usize),
}

/// One operand: its axes by label, with the distance of neighbours along each in elements.
#[derive(Clone, Debug)]
struct View {
    at: At,
    axes: Axes,
    strides: Strides,
}

impl View {
    fn stride(&self, label: usize) -> isize {
        self.axes.iter().position(|&axis| axis == label).map_or(0, |axis| self.strides[axis])
    }

    fn has(&self, label: usize) -> bool {
        self.axes.contains(&label)
    }
}

/// What is done, one after the other. Rooms hold numbers of the computing type, inputs and the output those of the dtype.
pub enum Stage {
    /// Elements in another order, as the computing type.
    Gather { from: At, walk: Walk<1>, to: usize },
    /// Lane sums of `rows` rows of `n` elements.
    Sum { from: At, rows: usize, n: usize, to: To },
    /// A chain of `k` terms for each place of the walk; terms are `steps` apart.
    Chains { from: [At; 2], walk: Walk<2>, k: usize, steps: [isize; 2], to: To },
    /// A batch of products of matrices.
    Product { from: [At; 2], product: Box<Product>, tasks: Tasks, to: To },
    /// The elements of the output, rounded from a room or moved from an input.
    Finish { from: At, walk: Walk<1> },
}

/// The stages, elements of each room, and the output's shape.
pub struct Plan {
    pub stages: Vec<Stage>,
    pub rooms: Vec<usize>,
    pub shape: Shape,
}

/// A plan in the making.
struct Planner<'a> {
    sizes: Vec<usize>,
    direct: bool,
    dtype: DType,
    cx: &'a PlanCx<'a>,
    stages: Vec<Stage>,
    rooms: Vec<usize>,
}

impl Plan {
    /// `direct`: whether products read and write elements of `dtype`; if not, they are converted before and after.
    pub fn new(equation: &Equation, shapes: &[&[usize]], dtype: DType, direct: bool, cx: &PlanCx<'_>) -> Result<Plan> {
        let ranks: Vec<usize> = shapes.iter().map(|shape| shape.len()).collect();
        let labels = equation.labels(&ranks)?;
        let sizes = sizes(&labels, shapes)?;
        let views = labels.terms.iter().zip(shapes).enumerate();
        let views: Vec<View> = views.map(|(input, (axes, shape))| view(input, axes, shape)).collect();
        let mut planner = Planner { sizes, direct, dtype, cx, stages: Vec::new(), rooms: Vec::new() };
        let shape = planner.shape(&labels.output);
        if element_count(&shape)? > 0 {
            planner.run(views, &labels)?;
        }
        Ok(Plan { stages: planner.stages, rooms: planner.rooms, shape })
    }

    /// The product that is all there is to do, if MatMul's step does it: input 0 times input 1, whose matrices lie one after the
    /// other, dense or transposed.
    pub fn lone_product(&self, shapes: &[&[usize]]) -> Option<Product> {
        let [Stage::Product { from, product, to: To::Output, .. }] = &self.stages[..] else { return None };
        let Product { n, k, .. } = **product;
        let matrix = k * n;
        let dense = product.b == [n, 1] || product.b == [1, k];
        let apart =
            product.batch.axes().iter().all(|axis| axis.len <= 1 || (axis.strides[1] as usize).is_multiple_of(matrix));
        if *from != [At::Input(0), At::Input(1)] || !dense || !apart || matrix == 0 {
            return None;
        }
        let b_count = shapes[1].iter().product::<usize>() / matrix;
        Some(Product { batch: product.batch.clone(), b_count, ..**product })
    }
}

/// The length of each label's axes; a length of 1 broadcasts.
fn sizes(labels: &Labels, shapes: &[&[usize]]) -> Result<Vec<usize>> {
    let mut sizes = vec![1; labels.count];
    for (axes, shape) in labels.terms.iter().zip(shapes) {
        for (i, (&label, &n)) in axes.iter().zip(*shape).enumerate() {
            let own = axes[..i].iter().position(|&other| other == label).map(|first| shape[first]);
            if own.is_some_and(|own| own != n) || (sizes[label] != n && sizes[label] != 1 && n != 1) {
                let known = own.unwrap_or(sizes[label]);
                return Err(Error::shape(format!(
                    "shapes {shapes:?}: axes of one letter have lengths {known} and {n}"
                )));
            }
            if n != 1 {
                sizes[label] = n;
            }
        }
    }
    Ok(sizes)
}

/// An input with every label once: along axes that share one, the diagonal.
fn view(input: usize, axes: &Axes, shape: &[usize]) -> View {
    let mut view = View { at: At::Input(input), axes: Axes::new(), strides: Strides::new() };
    for ((&label, &n), stride) in axes.iter().zip(shape).zip(contiguous_strides(shape)) {
        let stride = if n == 1 { 0 } else { stride };
        match view.axes.iter().position(|&other| other == label) {
            Some(known) => view.strides[known] += stride,
            None => {
                view.axes.push(label);
                view.strides.push(stride);
            }
        }
    }
    view
}

impl Planner<'_> {
    fn shape(&self, axes: &[usize]) -> Shape {
        axes.iter().map(|&label| self.sizes[label]).collect()
    }

    fn count(&self, axes: &[usize]) -> Result<usize> {
        element_count(&self.shape(axes))
    }

    /// Where `axes` of a view lie: the one stride of all of them together, if there is one; `lone` if they have one element
    /// or none.
    fn merged(&self, view: &View, axes: &[usize], lone: usize) -> Option<isize> {
        if axes.iter().any(|&label| self.sizes[label] == 0) {
            return Some(lone as isize);
        }
        let mut found: Option<isize> = None;
        let mut inner = 1;
        for &label in axes.iter().rev().filter(|&&label| self.sizes[label] != 1) {
            let stride = view.stride(label);
            match found {
                Some(last) if stride != last * inner as isize => return None,
                Some(_) => {}
                None => found = Some(stride),
            }
            inner *= self.sizes[label];
        }
        Some(found.unwrap_or(lone as isize))
    }

    fn walk<const N: usize>(&self, axes: &[usize], views: [&View; N]) -> Walk<N> {
        let strides: [Strides; N] = views.map(|view| axes.iter().map(|&label| view.stride(label)).collect());
        Walk::strided(&self.shape(axes), std::array::from_fn(|i| strides[i].as_slice()), [0; N])
    }

    /// A room for these axes, dense in this order; the view keeps `names`, the same labels in the order that counts.
    fn room(&mut self, axes: &[usize], names: Axes) -> Result<View> {
        self.rooms.push(self.count(axes)?);
        let dense = contiguous_strides(&self.shape(axes));
        let place = |label: &usize| axes.iter().position(|axis| axis == label).map_or(0, |axis| dense[axis]);
        let strides = names.iter().map(place).collect();
        Ok(View { at: At::Room(self.rooms.len() - 1), axes: names, strides })
    }

    /// A copy whose axes lie in this order, of the computing type. Axes that the view lacks are left out.
    fn gathered(&mut self, view: View, order: &[usize]) -> Result<View> {
        let order: Axes = order.iter().copied().filter(|&label| view.has(label)).collect();
        let walk = self.walk(&order, [&view]);
        let copy = self.room(&order, view.axes)?;
        let At::Room(to) = copy.at else { return Err(Error::internal("a room was made")) };
        self.stages.push(Stage::Gather { from: view.at, walk, to });
        Ok(copy)
    }

    fn readable(&self, view: &View) -> bool {
        self.direct || matches!(view.at, At::Room(_))
    }

    /// The view, or a copy of it, in which each group of axes is one axis; `order` is that of a copy.
    fn grouped(&mut self, view: View, groups: &[&[usize]], order: &[usize]) -> Result<View> {
        let one = groups.iter().all(|group| self.merged(&view, group, 1).is_some());
        if one && self.readable(&view) { Ok(view) } else { self.gathered(view, order) }
    }

    /// The view summed over the axes that are not kept.
    fn summed(&mut self, view: View, keep: impl Fn(usize) -> bool) -> Result<View> {
        let (kept, reduced): (Axes, Axes) = view.axes.iter().copied().partition(|&label| keep(label));
        if reduced.is_empty() {
            return Ok(view);
        }
        let order: Axes = kept.iter().chain(&reduced).copied().collect();
        let dense = self.readable(&view) && self.merged(&view, &order, 1) == Some(1);
        let view = if dense { view } else { self.gathered(view, &order)? };
        let (rows, n) = (self.count(&kept)?, self.count(&reduced)?);
        let sum = self.room(&kept, kept.clone())?;
        let At::Room(to) = sum.at else { return Err(Error::internal("a room was made")) };
        self.stages.push(Stage::Sum { from: view.at, rows, n, to: To::Room(to) });
        Ok(sum)
    }

    /// All stages.
    fn run(&mut self, views: Vec<View>, labels: &Labels) -> Result<()> {
        let output = &labels.output;
        let count = views.len();
        let mut views = views.into_iter();
        let Some(mut acc) = views.next() else { return Err(Error::invalid_model("Einsum without inputs")) };
        for (i, view) in views.enumerate() {
            let later = labels.terms.get(i + 2..).unwrap_or(&[]);
            let needed = |label| output.contains(&label) || later.iter().any(|axes| axes.contains(&label));
            acc = self.contracted(acc, view, needed, (i + 2 == count).then_some(output))?;
        }
        if count == 1 {
            // Which output a sum belongs to has no order: take the output's, so that it is written as it comes.
            let rest = acc.axes.iter().filter(|label| !output.contains(label));
            let order: Axes = output.iter().chain(rest).copied().collect();
            let strides = order.iter().map(|&label| acc.stride(label)).collect();
            acc = self.summed(View { at: acc.at, axes: order, strides }, |label| output.contains(&label))?;
        }
        let finished = self.direct && self.merged(&acc, output, 1) == Some(1);
        match self.stages.last_mut() {
            Some(Stage::Sum { to, .. } | Stage::Chains { to, .. } | Stage::Product { to, .. }) if finished => {
                *to = To::Output;
            }
            _ => self.stages.push(Stage::Finish { from: acc.at, walk: self.walk(output, [&acc]) }),
        }
        Ok(())
    }

    /// The product of two operands: `needed` says which axes the output or a later operand has. `output` if this is the last one.
    fn contracted(&mut self, a: View, b: View, needed: impl Fn(usize) -> bool, output: Option<&Axes>) -> Result<View> {
        let a = self.summed(a, |label| needed(label) || b.has(label))?;
        let b = self.summed(b, |label| needed(label) || a.has(label))?;
        let chained: Axes = a.axes.iter().copied().filter(|&label| !needed(label)).collect();
        let mut names: Axes = a.axes.iter().copied().filter(|&label| needed(label)).collect();
        names.extend(b.axes.iter().copied().filter(|&label| !a.has(label)));
        let order = output.unwrap_or(&names).clone();
        // An axis that is broadcast in one operand is the other one's alone.
        let moves = |view: &View, label: usize| view.stride(label) != 0;
        let group = |in_a: bool, in_b: bool| -> Axes {
            let of = |&label: &usize| (moves(&a, label) || !moves(&b, label)) == in_a && moves(&b, label) == in_b;
            order.iter().copied().filter(of).collect()
        };
        let (batch, rows, columns) = (group(true, true), group(true, false), group(false, true));
        let [m, n, k] = [self.count(&rows)?, self.count(&columns)?, self.count(&chained)?];
        if k > 1 && m.saturating_mul(n) >= SMALL {
            // Either operand may be the left one: where the output has the columns first, the other way round.
            let swapped: Axes = batch.iter().chain(&columns).chain(&rows).copied().collect();
            if swapped == order && !rows.is_empty() && !columns.is_empty() {
                return self.product([b, a], [&batch, &columns, &rows, &chained], names);
            }
            return self.product([a, b], [&batch, &rows, &columns, &chained], names);
        }
        self.chains([a, b], &order, &chained, k, names)
    }

    /// A batch of products of matrices: rows of `a` by chained axes, chained axes by columns of `b`.
    fn product(&mut self, [a, b]: [View; 2], axes: [&Axes; 4], names: Axes) -> Result<View> {
        let [batch, rows, columns, chained] = axes;
        let order = |groups: [&Axes; 3]| -> Axes { groups.into_iter().flatten().copied().collect() };
        let a = self.grouped(a, &[rows, chained], &order([batch, rows, chained]))?;
        let b = self.grouped(b, &[chained, columns], &order([batch, chained, columns]))?;
        let [m, n, k] = [self.count(rows)?, self.count(columns)?, self.count(chained)?];
        let stride = |view: &View, axes: &Axes, lone: usize| -> Result<usize> {
            let merged = self.merged(view, axes, lone).ok_or_else(|| Error::internal("axes were grouped"))?;
            Ok(merged as usize)
        };
        let strides_a = [stride(&a, rows, k)?, stride(&a, chained, 1)?];
        let strides_b = [stride(&b, chained, n)?, stride(&b, columns, 1)?];
        let zeros: Strides = SmallVec::from_elem(0, batch.len());
        let walked = |view: &View| -> Strides { batch.iter().map(|&label| view.stride(label)).collect() };
        let walk = Walk::strided(&self.shape(batch), [&walked(&a), &walked(&b), &zeros, &zeros], [0; 4]);
        let b_count = self.count(batch)?;
        let product = Product { batch: walk, a: strides_a, b: strides_b, b_count, ..Product::of(m, n, k) };
        let tasks = self.tasks(&product);
        let result = self.room(&order([batch, rows, columns]), names)?;
        let to = To::Room(self.rooms.len() - 1);
        self.stages.push(Stage::Product { from: [a.at, b.at], product: Box::new(product), tasks, to });
        Ok(result)
    }

    fn tasks(&self, product: &Product) -> Tasks {
        match self.dtype {
            DType::F64 => product.tasks::<f64>(self.cx, product.cost(20, 8)),
            DType::I64 | DType::U64 => product.tasks::<i64>(self.cx, product.cost(5, 8)),
            DType::F32 | DType::F16 | DType::BF16 => product.tasks::<f32>(self.cx, product.cost(50, 4)),
            _ => product.tasks::<i32>(self.cx, product.cost(20, 4)),
        }
    }

    /// One chain for each place of the result, whose axes lie in `order`.
    fn chains(&mut self, [a, b]: [View; 2], order: &Axes, chained: &Axes, k: usize, names: Axes) -> Result<View> {
        let copied: Axes = order.iter().chain(chained).copied().collect();
        let a = self.grouped(a, &[chained], &copied)?;
        let b = self.grouped(b, &[chained], &copied)?;
        let step = |view: &View| self.merged(view, chained, 1).ok_or_else(|| Error::internal("axes were grouped"));
        let steps = [step(&a)?, step(&b)?];
        let walk = self.walk(order, [&a, &b]);
        let result = self.room(order, names)?;
        let to = To::Room(self.rooms.len() - 1);
        self.stages.push(Stage::Chains { from: [a.at, b.at], walk, k, steps, to });
        Ok(result)
    }
}
