package lower

import (
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/codegen/plan"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/runtime/store"
)

// resets lowers the programs by which user space zeroes the maps that it cannot write
// itself. They come after the script's own programs.
func (u *shared) resets() {
	for i, m := range u.p.Order {
		if r, ok := m.Store.(store.Resetter); ok && m.Uses&store.Reset != 0 {
			u.res.Resets = append(u.res.Resets, i)
			u.reset(m, r)
		}
	}
}

// reset lowers the program for one map, a raw tracepoint program, whose context is its
// arguments.
func (u *shared) reset(m *plan.Map, r store.Resetter) {
	prog := &ir.Prog{Name: "reset_" + strings.TrimPrefix(m.Info.Name, "@"), Kind: "reset"}
	f := newFn(u, prog, &check.Prog{}, "main", ir.PtrCtx)
	f.ctx = f.b.Param(0)
	prog.Main = f.b.Fn
	f.at(m.Info.Span)
	f.start()
	r.Reset(f, f.b.Load(f.ctx, 0, 8, false))
	f.b.Ret(f.b.Const(0))
	f.end()
	u.res.Module.Progs = append(u.res.Module.Progs, prog)
}
