package main

import "errors"

// point has members in registers of both kinds.
type point struct {
	x, y  float64
	id    int
	name  string
	inner half
}

type half struct {
	f float32
	i int16
}

//go:noinline
func Point(p point, k int) (point, int) { return p, p.id + k }

// Func has parameters after a function.
//
//go:noinline
func Func(m map[string]int, fn func(int) int, array [3]int, p *point, b []byte, v any) int {
	return len(m) + fn(array[0]) + p.id + len(b)
}

//go:noinline
func Channels(c chan point, in <-chan string) int { return len(c) + len(in) }

func mixed() {
	Point(point{1.5, 2.5, 7, "seven", half{3.5, -8}}, 3)
	Func(map[string]int{"a": 1}, func(i int) int { return i }, [3]int{5, 6, 7}, &point{id: 9}, []byte("bytes"), errors.New("value"))
	c, in := make(chan point, 4), make(chan string, 8)
	c <- point{}
	in <- "x"
	in <- "y"
	Channels(c, in)
}
