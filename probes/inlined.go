package probes

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/sorted"
	"github.com/gotrace/gotrace/runtime/wildcard"
)

// inlinedMark is the Mode of points at the copies of a function that the compiler
// inlined: uprobe:BINARY:inlined:FUNCTION. The debug info has the places where their code
// starts, and the locations of their parameters.
const inlinedMark = "inlined"

// inlined adds the copies of the functions that p.Func denotes, one point for each
// instruction at which copies start.
func (u *uprobeFile) inlined() error {
	g, err := u.x.DebugInfo()
	if err != nil {
		return usage("the inlined copies of %s are not known: %s: %w", u.p.Func, u.path, err)
	}
	copies := g.Inlined(copyMatcher(u.p.Func))
	sorted.By(copies, func(c *binary.Inlined) uint64 { return c.Addr })
	for i := range copies {
		c := &copies[i]
		s, _ := u.x.Covering(c.Addr)
		if i > 0 && copies[i-1].Addr == c.Addr || misplaced(u.e, u.x, s, c.Addr, u.path) != "" {
			continue
		}
		n, start := len(u.out), u.x.Start(s, c)
		if err := u.add(s, start, copyName(c)); err != nil {
			return err
		}
		for _, q := range u.out[n:] {
			at := q.Aux.(*uprobePlace)
			at.copy, at.before = c, start != c.Addr
			q.Bound, q.Matched = true, true
		}
	}
	return nil
}

// copyName returns the name of a function that was inlined, as scripts write it.
func copyName(c *binary.Inlined) string {
	if c.Mangled {
		return sourceName(c.Name)
	}
	return c.Name
}

// copyMatcher returns a function that reports whether a pattern denotes the function of
// an inlined copy by its name, or that of its symbol.
func copyMatcher(pattern string) func(name string, mangled bool) bool {
	source := sourceMatcher(pattern, wildcard.Match)
	return func(name string, mangled bool) bool {
		return wildcard.Match(pattern, name) || name == pattern || mangled && source([]byte(name))
	}
}

// noWords is the Args.TypeOf of inlined copies.
func noWords(int) (*types.Type, string, error) {
	return nil, "", usage("an inlined copy of a function is not called, so no register has argument N: args has its parameters by name")
}

// onlyInlined returns the places where the function at p is inlined, if it has no code of
// its own. Otherwise it returns "".
func onlyInlined(e *Env, p *Point) string {
	return wholeFunction(e, p, func(_ string, x *binary.File) string {
		g, err := x.DebugInfo()
		if err != nil {
			return ""
		}
		return inlinedAt(p, "", x, g.Inlined(copyMatcher(p.Func)))
	})
}

// doubtInlined returns a warning if a function also has inlined copies, whose calls a
// probe at the function does not see.
func doubtInlined(e *Env, p *Point) string {
	return wholeFunction(e, p, func(_ string, x *binary.File) string {
		for _, s := range x.Named(p.Func) {
			if text := inlinedAt(p, "also ", x, x.InlinedNear(s)); text != "" {
				return text
			}
		}
		return ""
	})
}

// inlinedAt returns a text that lists the copies of the function at p, or "" if there
// are none.
func inlinedAt(p *Point, also string, x *binary.File, copies []binary.Inlined) string {
	if len(copies) == 0 {
		return ""
	}
	return fmt.Sprintf("the compiler %sinlined %s %s: %s sees its calls there", also, p.Func, copyPlaces(x, copies), uprobeAt(p.Target, inlinedMark+":"+p.Func))
}

// maxPlaces is the number of places of copies that a message lists.
const maxPlaces = 4

// copyPlaces lists the places of copies: "at 2 places (f at file.c:1, g at file.c:9)".
func copyPlaces(x *binary.File, copies []binary.Inlined) string {
	var places []string
	for i := range copies {
		c := &copies[i]
		s, _ := x.Covering(c.Addr)
		place := s.Name
		if c.File != "" {
			place = strings.TrimSpace(fmt.Sprintf("%s at %s:%d", s.Name, filepath.Base(c.File), c.Line))
		}
		if len(places) == maxPlaces {
			places = append(places, "…")
			break
		}
		places = append(places, place)
	}
	noun := "places"
	if len(copies) == 1 {
		noun = "place"
	}
	return fmt.Sprintf("at %d %s (%s)", len(copies), noun, strings.Join(places, ", "))
}

// listInlined yields the names of the inlined functions of a file that match a pattern,
// each once.
func listInlined(k *Kind, path string, x *binary.File, pattern string, yield func(string) bool) bool {
	g, err := x.DebugInfo()
	if err != nil {
		return true
	}
	var names []string
	for _, c := range g.Inlined(copyMatcher(pattern)) {
		names = append(names, copyName(&c))
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if !yield(k.Name + ":" + path + ":" + inlinedMark + ":" + name) {
			return false
		}
	}
	return true
}
