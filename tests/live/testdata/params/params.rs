// What the tests of typed arguments trace, in Rust.
#[derive(Clone, Copy)] pub struct P { a: u32, b: i32, c: u16 }
#[derive(Clone, Copy)] pub struct Q { a: u64, b: i64, c: u64 }
#[derive(Clone, Copy)] pub struct W { a: u8, b: u8, c: u8 }
#[inline(never)] pub fn take(n: i32, s: &str, p: P, q: Q, w: W, t: (u32, i64), r: &P, v: Vec<u8>, o: u8) -> i64 { std::hint::black_box((s, p.a, q.a, w.a, t.0, r.c, &v)); n as i64 + o as i64 + p.b as i64 + q.b + w.b as i64 + t.1}
#[inline(never)] pub fn ret(n: i32) -> [u64; 4] { std::hint::black_box(n); [n as u64; 4] }
#[inline(never)] pub fn pair(n: u32) -> (u32, i64) { std::hint::black_box(n); (n, -6) }
#[inline(never)] pub fn word(n: u8) -> W { std::hint::black_box(n); W { a: n, b: 8, c: 9 } }
#[inline(never)] pub fn words(n: u32) -> P { std::hint::black_box(n); P { a: n, b: -8, c: 9 } }
#[inline(never)] pub fn big(n: u64) -> Q { std::hint::black_box(n); Q { a: n, b: -8, c: 9 } }
#[no_mangle] #[inline(never)] pub extern "C" fn cfn(p: P, n: i16) -> i32 { std::hint::black_box(p.a); n as i32 + p.b }
fn main() { let p = P { a: 1, b: -2, c: 3 }; let q = Q { a: 10, b: -20, c: 30 }; std::hint::black_box((take(-7, "rusty", p, q, W { a: 1, b: 2, c: 3 }, (5, -6), &p, vec![1, 2], 9), ret(4), cfn(p, -8))); std::hint::black_box((pair(5), word(7), words(7), big(7))); }
