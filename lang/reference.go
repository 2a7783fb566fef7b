package lang

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
)

// EventReference writes the documentation of the providers' events as Markdown.
func EventReference(w io.Writer, defs *builtins.Registry) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, "# Events")
	fmt.Fprintln(out, "\nGenerated from `lang/providers`; `go generate ./builtins` updates it.")
	fmt.Fprintln(out, "[PROVIDERS.md](PROVIDERS.md) describes how to use and write events, and their limits.")
	provider := ""
	for _, e := range Events(defs) {
		of, _, _ := strings.Cut(e.Name.Text, ":")
		if of != provider {
			provider = of
			fmt.Fprintf(out, "\n## %s\n", provider)
		}
		fmt.Fprintf(out, "\n### `%s`\n\n%s\n\n| argument | type | |\n|---|---|---|\n", e.Name.Text, e.Doc)
		for _, a := range e.Args {
			fmt.Fprintf(out, "| `%s` | `%s` | %s |\n", a.Name.Text, ast.String(a.Type), strings.ReplaceAll(a.Doc, "|", "\\|"))
		}
		var places []string
		for _, p := range e.Places {
			for _, ap := range p.Points {
				places = append(places, "`"+ap.Text+"`")
			}
		}
		fmt.Fprintf(out, "\nMade of %s.\n", strings.Join(places, ", "))
	}
	return out.Flush()
}
