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

// protocols are the providers of protocols.
var protocols = []string{"http", "redis", "pgsql", "mysql", "dns", "tls"}

// TestEvents loads a probe for every event of every provider. It uses all arguments; in
// emulated guests, which take long to check such programs, not the paths.
func TestEvents(t *testing.T) {
	needRoot(t)
	// An event that keeps state cannot be in one script with events that are derived from
	// it.
	var script, pieces strings.Builder
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
		provider, _, _ := strings.Cut(e.Name.Text, ":")
		if testing.Short() && slices.Contains(protocols, provider) && e.Name.Text != "http:piece" {
			continue // they take long to compile in an emulated guest, and are similar
		}
		to := &script
		if strings.HasSuffix(e.Name.Text, ":piece") {
			to = &pieces
		}
		fmt.Fprintf(to, "%s /%s/ { %s }\n", e.Name.Text, never, strings.Join(args, " "))
		for _, name := range lacks {
			r := trace(t, "-e", fmt.Sprintf("%s { print(args.%s); }", e.Name.Text, name))
			if since := notHere[e.Name.Text+" "+name]; r.status == 0 || !strings.Contains(r.stderr, since) {
				t.Errorf("%s has %s on a kernel before %s:\n%s", e.Name.Text, name, since, r.stderr)
			}
		}
	}
	for _, s := range []string{script.String(), pieces.String()} {
		if r := trace(t, "-e", s+"begin { exit(); }"); r.status != 0 {
			t.Errorf("exit status %d: %s\n%s", r.status, r.stderr, s)
		}
	}
}
