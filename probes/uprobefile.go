package probes

import (
	"cmp"
	"fmt"
	"path/filepath"

	"github.com/ianlancetaylor/demangle"

	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/wildcard"
)

// uprobeFile expands an attach point in one of its files.
type uprobeFile struct {
	e        *Env
	p        *Point
	ret      bool
	canMulti bool // the kernel can attach a program to many points of the file at once
	multi    bool // it will do so
	pattern  bool // p.Func is not the name of one function
	source   bool // p.Func is a name in C++ or Rust
	path     string
	x        *binary.File
	only     uint64 // the number that selects one of several functions of a name; 0: all
	file     string // the source file that selects it; "": any
	out      []*Point
	// matches reports whether p.Func denotes the function of a symbol.
	matches func(symbol []byte) bool
}

func (u *uprobeFile) expand() error {
	p, x := u.p, u.x
	line, isLine := p.Aux.(binary.SourceLine)
	switch {
	case p.Mode == inlinedMark:
		return u.inlined()
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
	if u.source && p.Offset == 0 {
		return u.matching()
	}
	named := x.Named(p.Func)
	if u.source {
		named = x.Functions(u.matches)
	}
	named, err := u.choose(named)
	if err != nil {
		return err
	}
	if u.source && len(named) > 1 {
		return usage("several functions of %s are %s: name one of them, as gotrace -l '%s' lists them", u.path, p.Func, uprobeAt(u.path, p.Func))
	}
	for _, s := range named {
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
	if p.Mode != "" {
		name = p.Mode + ":" + name
	}
	q.Target, q.Name = u.path, p.Kind.Name+":"+u.path+":"+name
	if !q.HasAddr {
		q.Func, q.Count = s.Name, uint64(s.Nth)
		q.Bound = u.only != 0 || u.file != ""
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

// find determines how p.Func denotes functions of the file.
func (u *uprobeFile) find() {
	if u.p.Func == "" || u.p.Mode == inlinedMark {
		u.pattern = u.p.Func != ""
		return
	}
	u.cut()
	u.matches, u.source = nameMatcher(u.x, u.p)
	// Methods of Go have names such as main.(*T).Close.
	u.pattern = u.p.Mode == cppMark || isWild(u.p.Func) && (u.source || len(u.x.Named(u.p.Func)) == 0)
}

// cut removes the part of the name that selects one of several functions, unless the file
// has a function of the whole name.
func (u *uprobeFile) cut() {
	name, n, file, err := cutHomonym(u.p.Func)
	if err != nil || name == u.p.Func || isWild(name) || u.p.Mode != "" || len(u.x.Named(u.p.Func)) > 0 {
		return
	}
	q := *u.p
	q.Func, u.only, u.file = name, n, file
	u.p = &q
}

// choose returns those of the functions of a name that the script selects by number or by
// source file: the file that was compiled or, with debug info, the one with the text.
func (u *uprobeFile) choose(named []binary.Symbol) (chosen []binary.Symbol, err error) {
	if u.only == 0 && u.file == "" || len(named) == 0 {
		return named, nil
	}
	var there []string
	most := uint64(1)
	for _, s := range named {
		most = max(most, uint64(s.Nth))
		fits := u.only == max(uint64(s.Nth), 1)
		if u.file != "" {
			file := u.x.SourceFile(s)
			if f := u.x.Frames(s.Addr); file != u.file && len(f) > 0 {
				file = filepath.Base(f[len(f)-1].File)
			}
			fits = file == u.file
			there = append(there, cmp.Or(file, "a file that is not known"))
		}
		if fits {
			chosen = append(chosen, s)
		}
	}
	if len(chosen) > 0 {
		return chosen, nil
	}
	if u.only != 0 {
		return nil, tooFew(u.p.Func, u.only, int(most))
	}
	return nil, notInFile(u.p.Func, u.file, there)
}

// matching adds the functions that match a pattern or a name of C++ or Rust. Of several
// symbols at one address, as those of a constructor, it adds the first.
func (u *uprobeFile) matching() error {
	added := map[uint64]bool{}
	list, err := u.choose(u.x.Functions(u.matches))
	if err != nil {
		return err
	}
	for _, s := range list {
		if _, ok := u.x.CodeOffset(s.Addr); !ok {
			continue // the symbol is not code
		}
		targets, _ := u.x.Targets(s)
		for _, t := range targets {
			if (u.source || u.p.Mode == cppMark) && added[t.Addr] {
				continue
			}
			added[t.Addr] = true
			name := t.Name
			if u.source {
				name = sourceName(name)
			}
			name = shownName(name, &t)
			if err := u.add(t, u.x.Entry(t), name); err != nil {
				return err
			}
		}
	}
	return nil
}

// nameMatcher returns a function that reports whether p.Func denotes a symbol of x: by
// its name, by a pattern, or by the name in C++ or Rust. It also returns whether p.Func
// is a name in C++ or Rust.
func nameMatcher(x *binary.File, p *Point) (matches func([]byte) bool, source bool) {
	switch {
	case p.Mode == cppMark:
		return symbolMatcher(p), false
	case isWild(p.Func) && !isSourceName(p.Func), len(x.Named(p.Func)) > 0:
		return symbolMatcher(p), false
	}
	// "f(char*)" is a name rather than a pattern if there is a function of that name.
	if isWild(p.Func) {
		exact := sourceMatcher(p.Func, func(pattern, name string) bool { return pattern == name })
		if len(x.Functions(exact)) > 0 {
			return exact, true
		}
	}
	matches = sourceMatcher(p.Func, wildcard.Match)
	if isWild(p.Func) && len(x.Functions(matches)) == 0 {
		return symbolMatcher(p), false
	}
	return matches, true
}

// symbolMatcher returns a function that reports whether a symbol matches p.Func: a
// pattern of symbol names, or of demangled C++ names with or without parameters.
//
//go:noinline
func symbolMatcher(p *Point) func([]byte) bool {
	if p.Mode != cppMark {
		return func(n []byte) bool { return wildcard.Match(p.Func, string(n)) }
	}
	return func(n []byte) bool {
		if !isMangled(n) {
			return wildcard.Match(p.Func, string(n))
		}
		full, err := demangle.ToString(string(n))
		if err != nil || isPart(n) {
			return false
		}
		if wildcard.Match(p.Func, full) {
			return true
		}
		bare, err := demangle.ToString(string(n), demangle.NoParams)
		return err == nil && wildcard.Match(p.Func, bare)
	}
}
