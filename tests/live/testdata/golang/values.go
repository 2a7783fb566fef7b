package main

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"
)

type named int8

type shape interface{ area() float64 }

type square struct {
	side float64
	id   uint16
	name string
	tags []string
	on   bool
}

func (s *square) area() float64 { return s.side * s.side }

type dot struct{ x, y int32 }

func (dot) area() float64 { return 0 }

type failure struct{ code int }

func (f failure) Error() string { return fmt.Sprint(f.code) }

//go:noinline
func Fails(n int) error {
	switch n {
	case 0:
		return nil
	case 1:
		return errors.New("plain")
	case 2:
		return fmt.Errorf("wrapped %d: %w", n, errors.ErrUnsupported)
	case 3:
		return syscall.ENOENT
	case 4:
		return &fs.PathError{Op: "open", Path: "/x/y", Err: syscall.EPERM}
	case 5:
		return failure{-7}
	case 6:
		return (*fs.PathError)(nil)
	case 7:
		return errors.New("")
	}
	return errors.Join(errors.New("a"), errors.New("b"))
}

//go:noinline
func Show(v any, s shape) any { return v }

func values() {
	for i := range 9 {
		Fails(i)
	}
	for range 2 {
		Fails(1)
	}
	n := -5
	for _, v := range []any{nil, 42, int8(-3), uint64(1 << 63), named(9), true, "text\n", "", 2.5, float32(0.5), 'x', uintptr(7),
		&n, dot{3, -4}, square{1, 2, "sq", nil, true}, []int{1}, map[string]int{}, func() {}, make(chan int), time.Second,
		struct{}{}, errors.New("err"), struct{ p *int }{nil}, complex(1, 2), [2]int16{1, 2}} {
		Show(v, nil)
	}
	Show(1, &square{side: 1.5, id: 65535, name: "q", on: true})
	Show(2, dot{1, 2})
	Show(3, (*square)(nil))
}
