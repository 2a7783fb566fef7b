package probes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/object"
)

// isLibrary reports whether a target is the name of a library, which processes may find
// at different paths, in different roots.
func isLibrary(target string) bool {
	return target != "" && !strings.Contains(target, "/") && !isWild(target) && inPATH(target) == ""
}

// markLibrary records the name of the library in points whose target is one.
func markLibrary(target string, points []*Point) {
	if len(points) == 0 || !isLibrary(target) {
		return
	}
	for _, p := range points {
		p.Library = target
	}
}

// Elsewhere returns the points of a program in another file of the same library: another
// copy or another build. ps are the points of the program. Elsewhere also returns the
// names of points that the file lacks, or at which the program would read wrong values,
// with the reason.
func Elsewhere(e *Env, ps []*object.Point, f *CodeFile) (found []*object.Point, left []string) {
	x := f.x
	if x.Arch() != e.Kernel.Arch() {
		return nil, nil // a library of 32-bit programs
	}
	move := func(p *object.Point, off, semaphore uint64) {
		q := *p
		q.File, q.FileOffset, q.Semaphore = f.Path, off, semaphore
		found = append(found, &q)
	}
	if id := x.BuildID(); id != "" && id == buildID(ps[0].File) {
		for _, p := range ps {
			move(p, p.FileOffset, p.Semaphore)
		}
		return found, nil
	}
	if slices.ContainsFunc(ps, func(p *object.Point) bool { return p.Operands != "" }) {
		left = elsewhereUSDT(e, x, ps, move)
		return found, left
	}
	if slices.ContainsFunc(ps, func(p *object.Point) bool { return p.Bound || p.Offset != 0 || p.HasAddr || p.AtInsn }) {
		return nil, []string{"it is another build, and the script uses types, offsets or addresses of " + ps[0].File}
	}
	named := map[string][]binary.Symbol{}
	for _, p := range ps {
		named[p.Func] = nil
	}
	for _, s := range x.Functions(func(name []byte) bool { _, wanted := named[string(name)]; return wanted }) {
		named[s.Name] = append(named[s.Name], s)
	}
	for i, p := range ps {
		last := i+1 == len(ps) || ps[i+1].Func != p.Func
		for _, s := range named[p.Func] {
			// Of several functions of a name, each is traced once. The last point takes
			// those that the first file does not have.
			if n := max(uint64(s.Nth), 1); p.Count != 0 && n != p.Count && (n < p.Count || !last) {
				continue
			}
			at := x.Entry(s)
			off, ok := x.CodeOffset(at)
			if _, elsewhere := x.Targets(s); ok && !s.Indirect && !elsewhere && !x.Refused(at) {
				move(p, x.Base+off, 0)
			} else if !p.Matched {
				left = append(left, p.Func+" cannot be probed there")
			}
		}
		if len(named[p.Func]) == 0 && !p.Matched {
			left = append(left, "it has no "+p.Func)
		}
	}
	return found, left
}

// elsewhereUSDT is Elsewhere for static probes. The program reads the arguments from
// their locations in the file for which it was compiled.
func elsewhereUSDT(e *Env, x *binary.File, ps []*object.Point, move func(*object.Point, uint64, uint64)) (left []string) {
	there := map[*object.Point]bool{}
	for _, n := range x.USDTNotes() {
		i := slices.IndexFunc(ps, func(p *object.Point) bool {
			return p.Func == n.Name && strings.Contains(p.Name, ":"+n.Provider+":") && (!p.Bound || p.Operands == operandsOf(x, &n))
		})
		if i < 0 {
			for _, p := range ps {
				if p.Func == n.Name && strings.Contains(p.Name, ":"+n.Provider+":") {
					there[p] = true
					left = append(left, n.Name+" has its arguments elsewhere there")
				}
			}
			continue
		}
		there[ps[i]] = true
		off, ok := x.CodeOffset(n.Addr)
		if !ok || x.Refused(n.Addr) || x.Nop5(n.Addr) && e.Kernel.Has(FeatRedZoneLost) {
			left = append(left, n.Name+" cannot be probed there")
			continue
		}
		semaphore := uint64(0)
		if n.Semaphore != 0 {
			if semaphore, ok = x.Offset(n.Semaphore); !ok {
				continue
			}
			semaphore += x.Base
		}
		move(ps[i], x.Base+off, semaphore)
	}
	for _, p := range ps {
		if !there[p] && !p.Matched {
			left = append(left, "it has no "+p.Func)
		}
	}
	return slices.Compact(left)
}

// operandsOf returns the locations of a static probe's arguments as text. Programs can
// read two probes in the same way if the texts are equal.
func operandsOf(x *binary.File, n *binary.USDTNote) string {
	return fmt.Sprintf("%v", usdtArgs(x, n))
}

func usdtArgs(x *binary.File, n *binary.USDTNote) []binary.USDTArg {
	return binary.ParseUSDTArgs(x.Arch(), n.Args, func(name string) (int64, bool) {
		s, ok := x.Symbol(name)
		return int64(s.Addr - n.Addr), ok
	})
}

func buildID(path string) string {
	x, err := binary.Open(path)
	if err != nil {
		return ""
	}
	defer x.Close()
	return x.BuildID()
}
