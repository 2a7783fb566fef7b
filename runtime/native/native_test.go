package native

import "testing"

func TestIntegers(t *testing.T) {
	for size, want := range map[int]struct {
		u uint64
		i int64
	}{
		0: {0, 0}, 1: {0xfe, -2}, 2: {0xfffe, -2}, 3: {0, 0}, 4: {0xfffffffe, -2}, 8: {1<<64 - 2, -2}, 9: {0, 0},
	} {
		b := make([]byte, size)
		PutUint(b, 1<<64-2)
		if u, i := Uint(b), Int(b); u != want.u || i != want.i {
			t.Errorf("%d bytes: %#x, %d, want %#x, %d", size, u, i, want.u, want.i)
		}
	}
}
