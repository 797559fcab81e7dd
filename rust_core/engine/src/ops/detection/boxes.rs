//! NonMaxSuppression: the best boxes that do not overlap.

use std::sync::Mutex;

use diptych_kernels::Isa;
use diptych_kernels::detection::{Boxes, edges, overlaps};

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::pool::Team;
use crate::run::ValueCx;
use crate::tensor::{Tensor, Value};

/// Candidates between two looks at the clock.
const BREATH: usize = 256;

struct NonMaxSuppression {
    center: bool,
}

/// The operands of a run.
struct Job<'a> {
    boxes: &'a [[f32; 4]],
    scores: &'a [f32],
    /// Classes of an image, boxes of an image.
    classes: usize,
    count: usize,
    center: bool,
    most: usize,
    overlap: f32,
    least: Option<f32>,
}

impl Operator for NonMaxSuppression {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (boxes, scores) = (cx.shape(0)?, cx.shape(1)?);
        let (&[n, count, 4], &[images, classes, each]) = (boxes, scores) else {
            let message =
                format!("boxes and scores have shapes {boxes:?} and {scores:?}, expected N, S, 4 and N, C, S");
            return Err(Error::shape(message).into());
        };
        if (n, count) != (images, each) {
            return Err(Error::shape(format!("boxes have shape {boxes:?}, scores {scores:?}")).into());
        }
        for input in (2..5).filter(|&input| cx.has(input)) {
            if !matches!(cx.shape(input)?, [] | [1]) {
                let message = format!("input {input} has shape {:?}, expected one element", cx.shape(input)?);
                return Err(Error::shape(message).into());
            }
        }
        let center = self.center;
        Step::values(move |cx| {
            let (boxes, scores) = (dense(cx.input(0)?)?, dense(cx.input(1)?)?);
            let most = match optional(cx, 2)? {
                Some(tensor) => usize::try_from(tensor.as_slice::<i64>()?[0]).unwrap_or(0),
                None => 0,
            };
            let number = |input| optional(cx, input)?.map(|tensor| Ok(tensor.as_slice::<f32>()?[0])).transpose();
            let overlap = number(3)?.unwrap_or(0.0);
            if !(0.0..=1.0).contains(&overlap) {
                return Err(Error::invalid_input(format!("iou_threshold is {overlap}, expected 0 to 1")));
            }
            let job = Job {
                boxes: boxes.as_slice::<f32>()?.as_chunks().0,
                scores: scores.as_slice()?,
                classes,
                count,
                center,
                most,
                overlap,
                least: number(4)?,
            };
            Ok(vec![job.run(cx, n * classes)?.into()])
        })
    }
}

/// A tensor of a value.
fn dense(value: &Value) -> Result<Tensor> {
    match value {
        Value::Dense(tensor) => tensor.aligned(),
        other => Err(Error::internal(format!("{} where a tensor was planned", other.describe()))),
    }
}

fn optional(cx: &ValueCx<'_>, input: usize) -> Result<Option<Tensor>> {
    cx.inputs.get(input).and_then(Option::as_ref).map(dense).transpose()
}

// [panel: NonMaxSuppression choice]
impl Job<'_> {
    /// Selects in each class of each image, `lists` of them.
    fn run(&self, cx: &ValueCx<'_>, lists: usize) -> Result<Tensor> {
        let lists = if self.most == 0 { 0 } else { lists };
        let found: Vec<Mutex<Vec<usize>>> = (0..lists).map(|_| Mutex::default()).collect();
        let (isa, team) = (cx.isa, cx.team);
        cx.parallel(lists, |list| {
            let selected = self.select(isa, team, list);
            *found[list].lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = selected;
        })?;
        cx.check()?;
        let found: Vec<Vec<usize>> =
            found.into_iter().map(|list| list.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())).collect();
        let mut tensor = Tensor::zeros(DType::I64, &[found.iter().map(Vec::len).sum(), 3])?;
        let places = found.iter().enumerate().flat_map(|(list, boxes)| boxes.iter().map(move |&index| (list, index)));
        for (to, (list, index)) in tensor.as_mut_slice::<i64>()?.as_chunks_mut::<3>().0.iter_mut().zip(places) {
            *to = [list / self.classes, list % self.classes, index].map(|i| i as i64);
        }
        Ok(tensor)
    }

    /// The boxes selected of one list of scores. Cut short if the run is to stop.
    fn select(&self, isa: Isa, team: &Team<'_>, list: usize) -> Vec<usize> {
        let scores = &self.scores[list * self.count..][..self.count];
        let boxes = &self.boxes[list / self.classes * self.count..][..self.count];
        let wanted = |score: f32| self.least.map_or(!score.is_nan(), |least| score > least);
        let mut candidates: Vec<usize> = (0..self.count).filter(|&i| wanted(scores[i])).collect();
        // No score is NaN: equal ones keep the order of their boxes.
        let order = |&a: &usize, &b: &usize| scores[b].partial_cmp(&scores[a]).unwrap_or(std::cmp::Ordering::Equal);
        candidates.sort_by(order);
        let (mut chosen, mut kept) = (Vec::new(), Boxes::default());
        for (done, &index) in candidates.iter().enumerate() {
            if chosen.len() == self.most || (done % BREATH == 0 && team.check().is_err()) {
                break;
            }
            let own = edges(boxes[index], self.center);
            if !overlaps(isa, &kept, own, self.overlap) {
                chosen.push(index);
                kept.push(own);
            }
        }
        chosen
    }
}
// [/panel]

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    match cx.int("center_point_box", 0)? {
        center @ 0..=1 => Ok(Box::new(NonMaxSuppression { center: center == 1 })),
        other => Err(Error::invalid_model(format!("center_point_box is {other}, expected 0 or 1"))),
    }
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    versions("NonMaxSuppression", &[10, 11], build)
}
