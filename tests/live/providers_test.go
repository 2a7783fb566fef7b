package live

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang"
)

// notHere lists arguments that old kernels lack, with the first release that has them.
var notHere = map[string]string{
	"net:drop reason": "5.17",
}

// TestEvents loads a probe for every event of every provider. It uses all arguments; in
// emulated guests, which take long to check such programs, not the paths.
func TestEvents(t *testing.T) {
	needRoot(t)
	var script strings.Builder
	for _, e := range lang.Events(builtins.NewRegistry(builtins.All())) {
		var args, lacks []string
		for _, a := range e.Args {
			name := a.Name.Text
			since := notHere[e.Name.Text+" "+name]
			switch {
			case since != "" && release().less(parseRelease(since)):
				lacks = append(lacks, name)
			case testing.Short() && slices.Contains([]string{"path", "newpath"}, name):
			default:
				args = append(args, fmt.Sprintf("print(args.%s);", name))
			}
		}
		never := "pid == 0xffffffff"
		if strings.HasPrefix(e.Name.Text, "pkt:") {
			never = "args.proto == 255" // a packet belongs to no process
		}
		fmt.Fprintf(&script, "%s /%s/ { %s }\n", e.Name.Text, never, strings.Join(args, " "))
		for _, name := range lacks {
			r := trace(t, "-e", fmt.Sprintf("%s { print(args.%s); }", e.Name.Text, name))
			if since := notHere[e.Name.Text+" "+name]; r.status == 0 || !strings.Contains(r.stderr, since) {
				t.Errorf("%s has %s on a kernel before %s:\n%s", e.Name.Text, name, since, r.stderr)
			}
		}
	}
	script.WriteString("begin { exit(); }")
	if r := trace(t, "-e", script.String()); r.status != 0 {
		t.Errorf("exit status %d: %s\n%s", r.status, r.stderr, script.String())
	}
}
