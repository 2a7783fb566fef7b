// Package opt optimises IR programs.
//
// A pass is a function over one ir.Func that reports whether it changed anything. The
// function must satisfy ir.Verify before and after. The table below is the pipeline.
// Its passes run in rounds until nothing changes, since a pass may enable others.
// maxRounds is more than real programs need. The passes that are marked as last run
// once after the rounds.
//
// The kernel's verifier checks the result, so passes keep the code that it relies on.
// They do not look through ir.Builder.Opaque. They use ranges of values only as far as the
// verifier derives them too (it derives none for quotients). After a null check they
// use the value that was checked.
package opt

import "github.com/gotrace/gotrace/codegen/ir"

// Pass is a step of the pipeline.
type Pass struct {
	Name  string
	Run   func(*ir.Func) bool
	After []string // passes that have to run earlier in a round
	Last  bool     // it runs once, after the rounds
	Why   string   // the reason for its place
}

const maxRounds = 8

// Passes returns the pipeline for the programs of m, in order.
func Passes(m *ir.Module) []Pass {
	leaks := leaksAddresses(m)
	return []Pass{
		{Name: "fold", Run: fold,
			Why: "the others expect canonical forms: constants on the right, no redundant extensions, no phis of one value"},
		{Name: "branch", Run: branch, After: []string{"fold"},
			Why: "it needs the constant conditions that fold finds; the passes after it find more if fewer blocks join"},
		{Name: "cse", Run: cse, After: []string{"fold", "branch"},
			Why: "equal addresses and keys become the same value, which memory compares by identity"},
		{Name: "reads", Run: func(f *ir.Func) bool { return reads(f, leaks) }, After: []string{"cse"},
			Why: "the addresses of an object's members have to start from one value"},
		{Name: "memory", Run: memory, After: []string{"cse", "reads"},
			Why: "it identifies memory by the value of the address"},
		{Name: "store", Run: deadStores, After: []string{"memory"},
			Why: "a store is dead once memory has removed the loads that read it"},
		{Name: "dead", Run: dead, After: []string{"fold", "branch", "cse", "reads", "memory", "store"},
			Why: "each of them leaves values without users"},
		{Name: "launder", Run: launder, After: []string{"memory", "store"}, Last: true,
			Why: "they would undo it"},
	}
}

// Run optimises all programs of m in place.
func Run(m *ir.Module) {
	var funcs []*ir.Func
	size := 0
	for _, p := range m.Progs {
		for _, f := range p.Funcs() {
			funcs = append(funcs, f)
			size += f.NumValues()
		}
	}
	pipeline := pipelineOf(m)
	parallel(len(funcs), size, func(i int) { pipeline.run(funcs[i], nil) })
	for _, p := range m.Progs {
		dropFuncs(p)
	}
}

// pipeline is the passes that run in rounds and those that run after them.
type pipeline struct{ rounds, last []Pass }

func pipelineOf(m *ir.Module) (l pipeline) {
	for _, p := range Passes(m) {
		if p.Last {
			l.last = append(l.last, p)
		} else {
			l.rounds = append(l.rounds, p)
		}
	}
	return l
}

// run optimises f. It calls after, if given, after every pass.
func (l *pipeline) run(f *ir.Func, after func(pass string)) {
	do := func(pass Pass) (changed bool) {
		changed = pass.Run(f)
		if after != nil {
			after(pass.Name)
		}
		return changed
	}
	// Once each pass has found nothing to change since the last change, all of them would
	// find nothing.
	for n, idle := 0, 0; n < maxRounds*len(l.rounds) && idle < len(l.rounds); n++ {
		idle++
		if do(l.rounds[n%len(l.rounds)]) {
			idle = 0
		}
	}
	for _, pass := range l.last {
		do(pass)
	}
}

// dead removes values that are not used, including map lookups, except in LRU maps,
// where a lookup has an effect.
func dead(f *ir.Func) bool {
	uses := f.Uses()
	changed := false
	for _, b := range f.Blocks {
		kept := b.Values[:0:0]
		for _, v := range b.Values {
			if v.Help == ir.MapLookup && uses[v.ID] == 0 && v.Args[0].Op == ir.OpMapPtr {
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

// dropFuncs removes the functions that are no longer used.
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
