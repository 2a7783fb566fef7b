// Functions of Rust with generic parameters, methods of types and of traits.
use std::fmt::Debug;
use std::hint::black_box;

mod shop {
    pub struct Stack<T> { pub v: Vec<T> }
    impl<T> Stack<T> {
        #[inline(never)] pub fn push(&mut self, t: T) -> usize { self.v.push(t); self.v.len() }
    }
    pub trait Area { fn area(&self, k: u32) -> u32; }
    pub struct Square(pub u32);
    pub struct Rect { pub w: u32, pub h: u32 }
    impl Area for Square { #[inline(never)] fn area(&self, k: u32) -> u32 { self.0 * self.0 * k } }
    impl Area for Rect { #[inline(never)] fn area(&self, k: u32) -> u32 { self.w * self.h + k } }
    #[inline(never)] pub fn price(n: u32) -> u64 { n as u64 * 3 }
}
use shop::Area;

#[inline(never)] fn show<T: Debug>(t: T) -> usize { format!("{:?}", t).len() }

fn main() {
    for i in 0..3 {
        let i = black_box(i);
        let mut a = shop::Stack { v: vec![1u32] };
        let mut b = shop::Stack { v: vec![1.5f64] };
        black_box((a.push(i), b.push(2.5), shop::Square(i).area(2), shop::Square(i).area(i), black_box(shop::Rect { w: i, h: 2 }).area(1)));
        black_box((shop::price(i), show(i), show("s")));
    }
}
