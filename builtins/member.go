package builtins

import (
	"strings"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

// memberOffset follows the path of member names a stands for ("a.b") from t.
func memberOffset(c Checker, t *types.Type, a *Arg) (int, bool) {
	off := 0
	for _, name := range strings.Split(a.Word, ".") {
		f, ok := t.Field(name)
		if !ok {
			hint := ""
			if near := source.Nearest(name, t.FieldNames()); near != "" {
				hint = "did you mean " + near + "?"
			}
			c.ErrorHint(a.Span, hint, "%s has no member '%s'", t, name)
			return 0, false
		}
		off += f.Off
		t = f.Type
	}
	return off, true
}
