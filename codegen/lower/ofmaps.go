package lower

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/codegen/plan"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/runtime/store"
)

// ofMaps lowers the programs that user space runs to work on maps.
func (u *shared) ofMaps() {
	for i, m := range u.p.Order {
		for _, p := range store.Programs(m.Store, &m.Object, m.Uses) {
			u.ofMap(m, &p)
			u.res.OfMaps = append(u.res.OfMaps, OfMap{i, p})
		}
	}
}

func (u *shared) ofMap(m *plan.Map, p *store.Program) {
	prog := &ir.Prog{Name: p.Name, Kind: "map", Role: ir.ForMap, Of: len(u.res.OfMaps)}
	f := newFn(u, prog, &check.Prog{}, "main", ir.PtrCtx)
	f.ctx = f.b.Param(0)
	prog.Main = f.b.Fn
	f.at(m.Info.Span)
	f.start()
	p.Emit(f, f.ctx)
	f.b.Ret(f.b.Const(0))
	f.end()
	u.res.Module.Progs = append(u.res.Module.Progs, prog)
}
