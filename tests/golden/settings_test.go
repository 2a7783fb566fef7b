package golden

import (
	"github.com/gotrace/gotrace/lang"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/source"
)

// settings returns the defaults changed by the script's config block. It
// ignores the environment.
func settings(p *ast.Program, diags *source.Diags) *config.Config {
	return lang.Configure(p, nil, diags)
}
