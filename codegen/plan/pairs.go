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

// findPairs returns the kprobes and kretprobes that can be attached as one.
func findPairs(p *check.Program) []Pair {
	var pairs []Pair
	for i, entry := range p.Progs {
		if ret := partner(p, entry); ret >= 0 && !returnsValue(entry.Body) {
			pairs = append(pairs, Pair{i, ret})
		}
	}
	// The kernel is checked last, since that requires a search of its BTF.
	if env := p.Env; len(pairs) == 0 || env.NoFeature[string(probes.FeatKprobeSession)] || !env.Kernel.Has(probes.FeatKprobeSession) {
		return nil
	}
	return pairs
}

// partner returns the index of the only program for the returns of the functions that a
// program for entries is attached to, or -1.
func partner(p *check.Program, entry *check.Prog) int {
	if len(entry.Points) == 0 || entry.Points[0].Kind.Return == "" {
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
			if found >= 0 || !probes.JoinsSession(p.Env, entry.Points, q.Points) {
				return -1
			}
			found = i
		}
	}
	return found
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
