package probes

import (
	"fmt"

	"github.com/ianlancetaylor/demangle"

	"github.com/gotrace/gotrace/probes/binary"
)

// uprobeFile expands an attach point in one of the files that it names.
type uprobeFile struct {
	e          *Env
	p          *Point
	ret, multi bool
	path       string
	x          *binary.File
	out        []*Point
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
	case p.Mode == cppMark || isWild(p.Func):
		return u.matching()
	}
	for _, s := range x.Named(p.Func) {
		if err := u.symbol(s); err != nil {
			return err
		}
	}
	return nil
}

// add adds the point at an address in s. name is the address as the point's name
// has it.
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
	place := &uprobePlace{exe: x, addr: addr, entry: s.Addr, starts: addr == s.Addr || addr == x.Entry(s), goABI: x.UsesGoABI(s.Name)}
	if u.ret && place.goABI && !u.e.Unsafe {
		return usage("uretprobe on %s would crash %s: it is written in Go, whose stacks move (--unsafe does it anyway)", s.Name, u.path)
	}
	q.Aux = place
	u.out = append(u.out, &q)
	return nil
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
