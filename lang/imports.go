package lang

import (
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
)

func imports(p *ast.Program, o Options, diags *source.Diags) *ast.Program {
	return p
}
