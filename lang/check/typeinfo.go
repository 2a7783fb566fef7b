package check

import (
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/types"
)

// TypeInfo is what typeinfo() says of the type it is asked about.
func (in *Info) TypeInfo(e *ast.Typeinfo) (btfID uint32, base, full string) {
	var t *types.Type
	if e.Type != nil {
		t = in.Written[e.Type]
	} else {
		t = in.Types[e.X]
	}
	return t.BTFID, baseName(t), t.String()
}
