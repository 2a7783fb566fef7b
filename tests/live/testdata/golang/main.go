// Command golang is traced by tests. With an argument, that many goroutines, whose
// stacks grow all the time, call ten functions. Without one, it calls functions with
// parameters and results of all kinds.
package main

import (
	"errors"
	"io"
	"os"
	"strconv"
	"sync"
)

type pair struct{ a, b int }

type box[T any] struct{ v T }

type inner struct{ n int }

type outer struct {
	pad int
	*inner
}

//go:noinline
func (p *pair) Method(n int, s string) (sum int, err error) {
	if n < 0 {
		return 0, errors.New("negative")
	}
	return p.a + n + len(s), nil
}

//go:noinline
func (p pair) Value(n int8) string { return strconv.Itoa(p.a + int(n)) }

//go:noinline
func (b *box[T]) Get(n int) (T, int) { return b.v, n }

//go:noinline
func (i *inner) Promoted() int { return i.n }

//go:noinline
func Generic[K ~int | ~string](k K, list []K) K {
	for _, x := range list {
		k += x
	}
	return k
}

//go:noinline
func Slices(b []byte, list []pair, e error) []byte { return b[:len(b)-1] }

//go:noinline
func Many(a, b, c, d, e, f, g, h, i, j, k int64) (x, y int64, z bool) { return a + k, j, true }

//go:noinline
func Float(a float64, n int) float64 { return a * float64(n) }

//go:noinline
func Panics(n int) (r int) {
	defer func() {
		if e := recover(); e != nil {
			r = 10 * e.(int)
		}
	}()
	if n > 0 {
		panic(n)
	}
	return n
}

//go:noinline
func forever(c chan int) {
	for {
		<-c
	}
}

//go:noinline
func leaf0(n int) int { return n + 1 }

//go:noinline
func leaf1(n int) int {
	if n%3 == 0 {
		return 7
	}
	if n%5 == 0 {
		return 9
	}
	return n
}

//go:noinline
func leaf2(n int) (int, error) { return n, nil }

//go:noinline
func leaf3(s string) string { return s + "x" }

//go:noinline
func leaf4(b []byte) byte {
	var room [512]byte
	copy(room[:], b)
	return room[len(b)] + b[0]
}

//go:noinline
func leaf5(n int) int {
	defer leaf0(n)
	return n
}

//go:noinline
func leaf6(f func() int) int { return f() }

//go:noinline
func leaf7(a, b, c, d, e, f, g, h, i, j int) int { return a + j }

//go:noinline
func leaf8(p *pair) pair { return *p }

//go:noinline
func leaf9(n float64) float64 { return n / 2 }

// grow calls the ten functions at each of depth levels of its stack.
//
//go:noinline
func grow(depth int) int {
	var frame [200]byte
	frame[depth%200] = 1
	leaf1(depth)
	leaf2(depth)
	leaf3("s")
	leaf4(frame[:10])
	leaf5(depth)
	leaf6(func() int { return depth })
	leaf7(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	leaf8(&pair{depth, 2})
	leaf9(3)
	if depth > 1 {
		grow(depth - 1)
	}
	return int(frame[(depth+1)%200])
}

func main() {
	if len(os.Args) > 1 {
		n, _ := strconv.Atoi(os.Args[1])
		for range n / 10 {
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() { grow(100) })
			}
			wg.Wait()
		}
		return
	}
	go forever(make(chan int))
	p := &pair{1, 2}
	p.Method(5, "hello")
	p.Method(-1, "world")
	p.Value(3)
	Generic(4, []int{1, 2})
	Generic("a", []string{"bc", "d"})
	(&box[string]{"boxed"}).Get(3)
	(&box[int]{7}).Get(4)
	Slices([]byte("bytes"), []pair{{1, 2}, {3, 4}}, io.EOF)
	Many(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
	Float(1.5, 3)
	Panics(0)
	Panics(4)
	values()
	mixed()
	func(n int) { leaf6(func() int { return n }) }(len(os.Args))
	var i interface{ Promoted() int } = outer{1, &inner{5}}
	i.Promoted()
}
