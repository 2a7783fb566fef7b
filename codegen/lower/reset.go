package lower

import (
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/codegen/plan"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/runtime/store"
)

// resets lowers the programs by which user space zeroes the maps that it cannot write
// itself. They come after the script's programs.
func (u *shared) resets() {
	for i, m := range u.p.Order {
		if reset := m.Store.Traits().Reset; reset != nil && m.Uses&store.Reset != 0 {
			u.res.Resets = append(u.res.Resets, i)
			u.reset(m, reset)
		}
	}
}

// reset lowers the program for one map. It is a raw tracepoint program, whose context
// is its arguments.
func (u *shared) reset(m *plan.Map, zero func(g store.Gen, unset *ir.Value)) {
	prog := &ir.Prog{Name: "reset_" + strings.TrimPrefix(m.Info.Name, "@"), Kind: "reset"}
	f := newFn(u, prog, &check.Prog{}, "main", ir.PtrCtx)
	f.ctx = f.b.Param(0)
	prog.Main = f.b.Fn
	f.at(m.Info.Span)
	f.start()
	zero(f, f.b.Load(f.ctx, 0, 8, false))
	f.b.Ret(f.b.Const(0))
	f.end()
	u.res.Module.Progs = append(u.res.Module.Progs, prog)
}
