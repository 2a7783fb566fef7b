package tests

import (
	"regexp"
	"testing"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang"
)

// uncompared lists the events whose fields no script of a live test uses, with the reason.
var uncompared = map[string]string{
	"dns:piece":   views,
	"http:piece":  views,
	"mysql:piece": views,
	"pgsql:piece": views,
	"redis:piece": views,
	"tls:data":    "the tests of requests in TLS compare its data",
	"tls:close":   "it has only the number of a connection",
}

const views = "gotrace requests and the events of requests use it, and have tests"

var (
	clauseStart = regexp.MustCompile(`\b(?:proc|file|net|pkt|dns|http|redis|mysql|pgsql|tls):[a-z]+(?:\s*,\s*[a-z]+:[a-z]+)*|\n-- |\nfunc |\ninterval:|\nend `)
	eventName   = regexp.MustCompile(`[a-z]+:[a-z]+`)
	usedField   = regexp.MustCompile(`\bargs\.([a-z_0-9]+)`)
)

// comparedFields returns the fields of events, such as "file:open path", that the scripts of
// a text use.
func comparedFields(text string) map[string]bool {
	fields := map[string]bool{}
	starts := clauseStart.FindAllStringIndex(text, -1)
	for i, at := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		for _, event := range eventName.FindAllString(text[at[0]:at[1]], -1) {
			for _, m := range usedField.FindAllStringSubmatch(text[at[1]:end], -1) {
				fields[event+" "+m[1]] = true
			}
		}
	}
	return fields
}

// TestFieldsHaveTests checks that a script of a live test uses each field of each event.
func TestFieldsHaveTests(t *testing.T) {
	compared := comparedFields(expectations(t, "live"))
	used := map[string]bool{}
	for _, e := range lang.Events(builtins.NewRegistry(builtins.All())) {
		event := e.Name.Text
		missing := false
		for _, a := range e.Args {
			name := event + " " + a.Name.Text
			if compared[name] {
				continue
			}
			missing = true
			if uncompared[event] == "" {
				t.Errorf("no live test uses the field %s: add it to tests/live/fields_test.go", name)
			}
		}
		used[event] = missing
	}
	for event := range uncompared {
		if !used[event] {
			t.Errorf("%s is not an event, or tests use all its fields: remove it from the list", event)
		}
	}
}
