//! The forward product in two steps: the weights are put into the form that the method reads, and then
//! multiplied.

use super::patches::Patches;
use super::winograd::{self, Method};
use super::{Conv2d, depthwise, merged, pixels, with_border};
use crate::element::Element;
use crate::finish::Finish;
use crate::gemm::{self, Destination, Shape};
use crate::isa::Isa;
use crate::pack::{ByRows, Matrix, Operand};
use crate::scratch::{self, Slot};

/// A forward product by one method on one instruction set.
pub(super) struct Forward {
    isa: Isa,
    /// The dims as given.
    given: Conv2d,
    /// The dims with merged groups.
    d: Conv2d,
    method: Method,
}

impl Forward {
    /// `method` chooses the method for the dims with merged groups.
    pub(super) fn new(d: &Conv2d, method: impl Fn(&Conv2d) -> Method) -> Self {
        let wide = if d.is_depthwise() { None } else { merged::of(d) };
        let wide = wide.unwrap_or(*d);
        Self { isa: Isa::current(), given: *d, d: wide, method: method(&wide) }
    }

    pub(super) fn isa(&self) -> Isa {
        self.isa
    }

    pub(super) fn method(&self) -> Method {
        self.method
    }

    /// The length of the weights in their form.
    pub(super) fn length(&self) -> usize {
        let d = &self.d;
        if d.is_depthwise() {
            return depthwise::turned_length(d);
        }
        match self.method {
            Method::Direct => d.groups * self.group_length(),
            method => winograd::transformed_length(self.isa, d, method),
        }
    }

    fn group_length(&self) -> usize {
        gemm::packed_right_length(self.isa, self.d.group_out(), self.d.patch())
    }

    /// Puts the weights into the form that [`Self::run`] reads.
    pub(super) fn prepare(&self, w: &[f32], form: &mut [f32]) {
        if self.d == self.given {
            return self.prepare_wide(w, form);
        }
        merged::spread(&self.given, &self.d, w, |w| self.prepare_wide(w, form));
    }

    fn prepare_wide(&self, w: &[f32], form: &mut [f32]) {
        let d = &self.d;
        if d.is_depthwise() {
            return depthwise::turn(d, w, form);
        }
        let (columns, inner) = (d.group_out(), d.patch());
        let of_group = |group: usize| {
            let data = &w[group * columns * inner..][..columns * inner];
            ByRows(Matrix { data, columns: inner, stride: inner })
        };
        if self.method != Method::Direct {
            return winograd::transform(self.isa, d, self.method, &of_group(0), form);
        }
        for (group, form) in form.chunks_exact_mut(self.group_length().max(1)).enumerate() {
            gemm::pack_right(self.isa, [columns, inner], &of_group(group), form);
        }
    }

    /// The product, by weights that [`Self::prepare`] wrote.
    pub(super) fn run<E: Element>(
        &self,
        x: &[E],
        form: &[f32],
        finish: Option<Finish<'_>>,
        y: &mut [E],
    ) {
        let d = &self.d;
        if d.is_depthwise() {
            return depthwise::forward(d, x, form, finish, y);
        }
        if self.method != Method::Direct {
            return winograd::forward(self.isa, d, self.method, x, form, finish, y);
        }
        with_border(d, x, |d, x| {
            for group in 0..d.groups {
                let form = &form[group * self.group_length()..][..self.group_length()];
                if d.is_pointwise() {
                    let pixels = ByRows(pixels(x, d.c_in, group, d.group_in()));
                    self.run_group(group, &pixels, form, finish, y);
                } else {
                    let patches = ByRows(Patches::of_input(d, x, group));
                    self.run_group(group, &patches, form, finish, y);
                }
            }
        });
    }

    fn run_group<E: Element>(
        &self,
        group: usize,
        patches: &impl Operand,
        form: &[f32],
        finish: Option<Finish<'_>>,
        y: &mut [E],
    ) {
        let (d, outputs) = (&self.d, self.d.group_out());
        let finish = finish
            .map(|finish| Finish { bias: &finish.bias[group * outputs..][..outputs], ..finish });
        // SAFETY: pixels are `c_out` apart, and a group is at most that wide.
        let output = unsafe { Destination::new(y, |row| row * d.c_out + group * outputs) };
        let output = output.finished(finish);
        let shape = Shape { rows: d.positions(), columns: outputs, inner: d.patch() };
        gemm::multiply_packed(self.isa, shape, patches, form, &output);
    }
}

/// The product by weights that are used once.
pub(super) fn forward_by<E: Element>(
    d: &Conv2d,
    method: impl Fn(&Conv2d) -> Method,
    x: &[E],
    w: &[f32],
    finish: Option<Finish<'_>>,
    y: &mut [E],
) {
    let forward = Forward::new(d, method);
    scratch::with(Slot::Weights, forward.length(), |form| {
        forward.prepare(w, form);
        forward.run(x, form, finish, y);
    });
}
