package probes

import (
	"fmt"

	"github.com/ianlancetaylor/demangle"

	"github.com/gotrace/gotrace/probes/binary"
)

// uprobeFile expands an attach point in one of its files.
type uprobeFile struct {
	e        *Env
	p        *Point
	ret      bool
	canMulti bool // the kernel can attach a program to many points of the file at once
	multi    bool // it will do so
	pattern  bool // p.Func is not the name of one function
	path     string
	x        *binary.File
	out      []*Point
}

func (u *uprobeFile) expand() error {
	p, x := u.p, u.x
	line, isLine := p.Aux.(binary.SourceLine)
	switch {
	case isLine:
		return u.sourceLine(line)
	case p.HasAddr:
		s, _ := x.Covering(p.Addr)
		if err := checkBoundary(u.e, x, s, p.Addr, u.path); err != nil {
			return err
		}
		return u.add(s, p.Addr, fmt.Sprint(p.Addr))
	case u.pattern:
		return u.matching()
	}
	for _, s := range x.Named(p.Func) {
		if err := u.symbol(s); err != nil {
			return err
		}
	}
	return nil
}

// add adds the point at an address in s. name is the address in the form of the point's
// name.
func (u *uprobeFile) add(s binary.Symbol, addr uint64, name string) error {
	p, x := u.p, u.x
	off, ok := x.CodeOffset(addr)
	if !ok {
		return usage("%s: address %#x is not in the code of %s", p.Kind.Name, addr, u.path)
	}
	q := *p
	if p.Mode == cppMark {
		name = cppMark + ":" + name
	}
	q.Target, q.Name = u.path, p.Kind.Name+":"+u.path+":"+name
	if !q.HasAddr {
		q.Func = s.Name
	}
	q.File, q.FileOffset, q.Multi = x.Path, x.Base+off, u.multi
	q.Aux = &uprobePlace{exe: x, addr: addr, entry: s.Addr, starts: addr == s.Addr || addr == x.Entry(s), symbol: s}
	if u.ret && x.IsGo(s) {
		return u.returns(s, &q)
	}
	u.out = append(u.out, &q)
	return nil
}

// returns adds the instructions at which a Go function returns. p is the point at the
// function.
func (u *uprobeFile) returns(s binary.Symbol, p *Point) error {
	r, err := u.x.Returns(s)
	if err == nil && len(r.At) == 0 {
		err = neverReturns(r)
	}
	if err != nil {
		if u.pattern {
			return nil
		}
		return usage("uretprobe on %s of %s is not possible: %w", s.Name, u.path, err)
	}
	for _, addr := range r.At {
		q := *p
		off, ok := u.x.CodeOffset(addr)
		if !ok {
			return usage("uretprobe on %s of %s is not possible: address %#x is not in the code", s.Name, u.path, addr)
		}
		q.FileOffset, q.Offset, q.AtInsn = u.x.Base+off, addr-s.Addr, true
		q.Multi = u.multi || u.canMulti && len(r.At) > 1
		q.Aux = &uprobePlace{exe: u.x, addr: addr, entry: s.Addr, symbol: s}
		u.out = append(u.out, &q)
	}
	return nil
}

// neverReturns returns the reason why a function has no instruction that returns.
func neverReturns(r binary.Returns) error {
	switch {
	case len(r.Jumps) == 0:
		return usage("it has no instruction that returns, so it never does")
	case len(r.Jumps) == 1 && r.Jumps[0] != "":
		return usage("it ends with a jump to %s, which returns to the caller: probe that function", r.Jumps[0])
	}
	return usage("it ends with a jump to another function, which returns to the caller")
}

// sourceLine adds the points of a line of the source.
func (u *uprobeFile) sourceLine(line binary.SourceLine) error {
	g, err := u.x.DebugInfo()
	if err != nil {
		return usage("No DWARF debug info found for '%s', cannot attach by source code location: %w", u.path, err)
	}
	addrs, err := g.Addresses(line)
	if err != nil {
		return err
	}
	for _, addr := range addrs {
		s, _ := u.x.Covering(addr)
		if err := u.add(s, addr, fmt.Sprint(addr)); err != nil {
			return err
		}
	}
	return nil
}

// matching adds the functions that match a pattern or a C++ name.
func (u *uprobeFile) matching() error {
	for _, s := range u.x.Functions(symbolMatcher(u.p)) {
		if _, ok := u.x.CodeOffset(s.Addr); !ok {
			continue // the symbol is not code
		}
		targets, _ := u.x.Targets(s)
		for _, t := range targets {
			if err := u.add(t, u.x.Entry(t), t.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// symbolMatcher returns a function that reports whether a symbol matches p.Func: a
// pattern of symbol names, or of demangled C++ names with or without parameters.
func symbolMatcher(p *Point) func([]byte) bool {
	if p.Mode != cppMark {
		return func(n []byte) bool { return Match(p.Func, string(n)) }
	}
	return func(n []byte) bool {
		if len(n) < 2 || n[0] != '_' || n[1] != 'Z' {
			return Match(p.Func, string(n))
		}
		full, err := demangle.ToString(string(n))
		if err != nil {
			return false
		}
		if Match(p.Func, full) {
			return true
		}
		bare, err := demangle.ToString(string(n), demangle.NoParams)
		return err == nil && Match(p.Func, bare)
	}
}
