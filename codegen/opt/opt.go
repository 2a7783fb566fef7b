// Package opt improves IR programs before they are turned into BPF.
//
// A pass is a function over one ir.Func that reports whether it changed
// anything; it leaves the function as ir.Verify wants it. The table below is
// the pipeline. It is run again as long as anything changes, since what one
// pass uncovers feeds the others, up to a number of rounds that no real program
// needs.
//
// The kernel's verifier reads the result, so passes keep what it must see:
// nothing looks through ir.OpBarrier, ranges of values are used only as far as
// the verifier derives them too (it knows nothing of quotients), and a pointer
// is used past a null check only as the value that was checked.
package opt

import "github.com/gotrace/gotrace/codegen/ir"

// Pass is a step of the pipeline.
type Pass struct {
	Name string
	Run  func(*ir.Func) bool
}

const maxRounds = 8

// Passes is the pipeline for the programs of m, in order:
//
//	fold    first, so that the others meet canonical forms: constants on the
//	        right, no redundant extensions, phis of one value gone
//	branch  needs the constant conditions that fold finds; fewer joins let the
//	        passes after it see further
//	cse     one computation each; makes equal addresses and keys the same value,
//	        which is how memory recognises them
//	reads   one helper call for the members of an object; needs their addresses
//	        to start from one value
//	memory  loads known from earlier stores and loads, repeated map lookups
//	store   stores nobody reads any more, now that loads are gone
//	dead    values whose last user one of the above removed
func Passes(m *ir.Module) []Pass {
	leaks := leaksAddresses(m)
	return []Pass{
		{"fold", fold},
		{"branch", branch},
		{"cse", cse},
		{"reads", func(f *ir.Func) bool { return reads(f, leaks) }},
		{"memory", memory},
		{"store", deadStores},
		{"dead", dead},
	}
}

// Run optimises all programs of m in place.
func Run(m *ir.Module) { run(m, nil) }

// run calls after, if given, after every pass.
func run(m *ir.Module, after func(p *ir.Prog, pass string)) {
	passes := Passes(m)
	for _, p := range m.Progs {
		for _, f := range p.Funcs() {
			for range maxRounds {
				changed := false
				for _, pass := range passes {
					changed = pass.Run(f) || changed
					if after != nil {
						after(p, pass.Name)
					}
				}
				if !changed {
					break
				}
			}
		}
		dropFuncs(p)
	}
}

// dead drops values that nothing uses, and map lookups whose result nothing
// uses where looking up leaves no trace (it does in LRU maps).
func dead(f *ir.Func) bool {
	uses := f.Uses()
	changed := false
	for _, b := range f.Blocks {
		kept := b.Values[:0:0]
		for _, v := range b.Values {
			if v.Op == ir.OpCall && v.Help == ir.MapLookup && uses[v.ID] == 0 && v.Args[0].Op == ir.OpMapPtr {
				if t := v.Args[0].Map.Type; t != ir.LRUHash && t != ir.LRUPerCPU {
					changed = true
					continue
				}
			}
			kept = append(kept, v)
		}
		b.Values = kept
	}
	return f.RemoveDead() || changed
}

// dropFuncs removes the functions that nothing refers to any more.
func dropFuncs(p *ir.Prog) {
	used := map[*ir.Func]bool{}
	work := []*ir.Func{p.Main}
	for len(work) > 0 {
		f := work[len(work)-1]
		work = work[:len(work)-1]
		for _, b := range f.Blocks {
			for _, v := range b.Values {
				if v.Fn != nil && !used[v.Fn] {
					used[v.Fn] = true
					work = append(work, v.Fn)
				}
			}
		}
	}
	kept := p.Subs[:0:0]
	for _, f := range p.Subs {
		if used[f] {
			kept = append(kept, f)
		}
	}
	p.Subs = kept
}
