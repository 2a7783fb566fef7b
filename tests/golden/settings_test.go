package golden

import (
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/source"
)

// settings are the defaults and what the script's config block says; the
// environment does not count here.
func settings(p *ast.Program, diags *source.Diags) *config.Config {
	cfg := config.Default()
	if p.Config == nil {
		return cfg
	}
	for _, it := range p.Config.Items {
		var v config.Value
		switch x := it.Value.(type) {
		case *ast.IntLit:
			v = config.Value{Text: x.Text, Int: x.Value, IsInt: true}
		case *ast.BoolLit:
			v = config.Value{IsBool: true, Bool: x.Value}
		case *ast.StrLit:
			v = config.Value{Text: x.Value}
		case *ast.Ident:
			v = config.Value{Text: x.Name}
		}
		if p := cfg.Set(it.Key.Text, v); p != nil {
			diags.ErrorHint(it.Span(), p.Hint, "%s", p.Msg)
		}
	}
	return cfg
}
