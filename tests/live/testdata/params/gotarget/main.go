// Command gotarget is a Go program that the tests of typed arguments trace.
package main

import "os"

type T struct {
	A int32
	B uint8
	S string
}
type E struct{ X, Y, Z int64 }

//go:noinline
func Take(n int, s string, b []byte, t T, p *T, ok bool, f float64, u uint16) int {
	return n + len(s) + len(b) + int(t.A) + int(p.A) + int(f) + int(u)
}

//go:noinline
func Spill(a, b, c E, d [2]int32, i interface{}, z int8) int64 {
	return a.X + b.Y + c.Z + int64(d[1]) + int64(z)
}

//go:noinline
func (t *T) Method(k int) int { return int(t.A) + k }
func main() {
	t := T{-5, 7, "inner"}
	x := Take(42, "hello", []byte("bytes"), t, &T{9, 8, "ptr"}, true, 2.5, 65535)
	y := Spill(E{1, 2, 3}, E{4, 5, 6}, E{7, 8, 9}, [2]int32{-1, -2}, x, -9)
	z := t.Method(-77)
	if x+int(y)+z == 12345 {
		os.Exit(1)
	}
}
