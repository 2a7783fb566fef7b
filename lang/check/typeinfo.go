package check

import (
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/types"
)

// TypeInfo returns the results of typeinfo() for the type in e.
func (in *Info) TypeInfo(e *ast.Typeinfo) (btfID uint32, base, full string) {
	var t *types.Type
	if e.Type != nil {
		t = in.Written[e.Type]
	} else {
		t = in.Types[e.X]
	}
	return t.BTFID, baseName(t), t.String()
}

// typeinfoField makes a field of typeinfo() a literal.
func (c *checker) typeinfoField(n *ast.Typeinfo, e *ast.Field) {
	id, base, full := c.info.TypeInfo(n)
	switch e.Name.Text {
	case "btf_id":
		c.literal(e, &builtins.Lit{Int: int64(id)})
	case "base_type":
		c.literal(e, &builtins.Lit{IsStr: true, Str: base})
	case "full_type":
		c.literal(e, &builtins.Lit{IsStr: true, Str: full})
	}
}
