package probes

import (
	"strings"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes/binary"
)

// regsType returns the type of ctx where that is struct pt_regs.
func regsType(e *Env, a *binary.Arch) *types.Type {
	return lazyStruct(e, "struct pt_regs", a.RegsSize)
}

// lazyStruct returns a struct of the context that is looked up in BTF only when
// one of its members is used.
func lazyStruct(e *Env, name string, size int) *types.Type {
	return &types.Type{Kind: types.Struct, Name: name, Size: size, Space: types.Ctx, Comp: types.NewComposite(strings.HasPrefix(name, "union "), func() []types.Field {
		t, err := e.Kernel.Type(name)
		if err != nil {
			return nil
		}
		return t.Members()
	})}
}
