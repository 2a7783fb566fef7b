package plan

import (
	"slices"

	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/probes"
)

// Pair holds the indices of two programs that the kernel can run as one, at the calls
// and the returns of functions. It then intercepts each call once instead of twice.
type Pair struct{ Entry, Return int }

// findPairs returns the programs for calls and for returns that can be attached as one.
func findPairs(p *check.Program) []Pair {
	var pairs []Pair
	for i, entry := range p.Progs {
		ret := partner(p, entry)
		// The kernel is checked last, since that requires a search of its BTF.
		if ret >= 0 && !returnsValue(entry.Body) && entry.Points[0].Kind.Session(p.Env) != 0 {
			pairs = append(pairs, Pair{i, ret})
		}
	}
	return pairs
}

// partner returns the index of the only program for the returns of the functions that a
// program for entries is attached to, or -1.
func partner(p *check.Program, entry *check.Prog) int {
	if len(entry.Points) == 0 || entry.Points[0].Kind.Return == "" || !entry.Ctx.Load.Joins {
		return -1
	}
	kind := entry.Points[0].Kind
	found := -1
	for i, q := range p.Progs {
		switch {
		case q == entry || len(q.Points) == 0:
		case q.Points[0].Kind == kind && overlap(entry, q):
			return -1 // a pair would change the order in which blocks run
		case q.Points[0].Kind.Name == kind.Return && overlap(entry, q):
			if found >= 0 || !q.Ctx.Load.Joins || !sameFunctions(entry, q) {
				return -1
			}
			found = i
		}
	}
	return found
}

// sameFunctions reports whether two programs are attached to the same functions, each
// once.
func sameFunctions(p, q *check.Prog) bool {
	if len(p.Points) != len(q.Points) {
		return false
	}
	at := map[string]bool{}
	for _, pt := range p.Points {
		at[pt.Func] = true
	}
	for _, pt := range q.Points {
		if !at[pt.Func] {
			return false
		}
	}
	return len(at) == len(p.Points)
}

// overlap reports whether two programs have a function in common.
func overlap(p, q *check.Prog) bool {
	funcs := map[string]bool{}
	for _, at := range p.Points {
		funcs[at.Func] = true
	}
	return slices.ContainsFunc(q.Points, func(at *probes.Point) bool { return funcs[at.Func] })
}

// returnsValue reports whether a block returns a value. In a pair the value that the
// entry returns determines whether the return is intercepted.
func returnsValue(body ast.Node) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		if j, ok := n.(*ast.Jump); ok && j.Kind == ast.Return && j.Value != nil {
			found = true
		}
		return !found
	})
	return found
}
