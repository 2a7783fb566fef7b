package live

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime"
	"github.com/gotrace/gotrace/runtime/output"
	values "github.com/gotrace/gotrace/runtime/value"
)

// truth is the knowledge of a program about a condition.
type truth int

const (
	no truth = iota
	perhaps
	yes
)

// A condition has its text, the program's knowledge about it, its real value, and the
// number of parts that only user space can decide.
type condition struct {
	text   string
	known  truth
	holds  bool
	others int
}

func asTruth(v bool) truth {
	if v {
		return yes
	}
	return no
}

// randomCondition returns a condition with operators nested up to depth.
func randomCondition(r *rand.Rand, depth int) condition {
	leaf := func(text string, known bool) condition {
		c := condition{text: text, holds: !strings.Contains(text, "false")}
		if c.known = asTruth(c.holds); !known {
			c.known, c.others = perhaps, 1
		}
		return c
	}
	if depth == 0 {
		list := []condition{
			leaf("pid != 0", true), leaf("(pid == 0 /* false */)", true), leaf("comm != \"\"", true),
			leaf(`username == "true"`, false), leaf(`username == "false"`, false), leaf(`username startswith "tr"`, false),
			leaf(`username in ("false", "false2")`, false), leaf(`username !~ "^t.u[^e]$"`, false), leaf(`!(username != "false")`, false),
		}
		return list[r.IntN(len(list))]
	}
	x, y := randomCondition(r, r.IntN(depth)), randomCondition(r, r.IntN(depth))
	both := func(op string, known truth, holds bool) condition {
		return condition{"(" + x.text + " " + op + " " + y.text + ")", known, holds, x.others + y.others}
	}
	same := perhaps
	if x.known != perhaps && y.known != perhaps {
		same = asTruth(x.known == y.known)
	}
	switch r.IntN(6) {
	case 0, 1:
		return both("&&", min(x.known, y.known), x.holds && y.holds)
	case 2, 3:
		return both("||", max(x.known, y.known), x.holds || y.holds)
	case 4:
		if r.IntN(2) == 0 {
			return condition{"!(" + x.text + ")", yes - x.known, !x.holds, x.others}
		}
		if x.others == 0 || y.others == 0 {
			return x
		}
		c := both("==", same, x.holds == y.holds)
		c.text = "((" + x.text + ") == (" + y.text + "))"
		return c
	}
	c := randomCondition(r, r.IntN(depth))
	z := condition{text: "((" + c.text + ") ? (" + x.text + ") : (" + y.text + "))", others: c.others + x.others + y.others, holds: y.holds, known: perhaps}
	if c.holds {
		z.holds = x.holds
	}
	switch {
	case c.known == yes:
		z.known = x.known
	case c.known == no:
		z.known = y.known
	case x.known == y.known:
		z.known = x.known
	}
	return z
}

// TestDecidedLater compares predicates with parts that only user space can decide with a
// model: the program sends the events for which the predicate may be true, and user space
// shows those for which it is.
func TestDecidedLater(t *testing.T) {
	if *peer {
		t.Skip("bpftrace refuses such predicates")
	}
	needRoot(t)
	n := 100
	if testing.Short() {
		n = 30
	}
	r := rand.New(rand.NewPCG(7, 7))
	var script, want strings.Builder
	sent, shown := 0, 0
	for i := range n {
		var c condition
		for c.others == 0 {
			c = randomCondition(r, 1+i%4)
		}
		fmt.Fprintf(&script, "begin /%s/ { $s = comm; ", c.text)
		lines := 1
		if i%10 == 0 { // the loop's body is another function
			lines = 20
			fmt.Fprintf(&script, `for ($i : 1..20) { printf("%%d\n", %d); } `, i)
		}
		fmt.Fprintf(&script, "print(%d); }\n", i)
		if c.known != no {
			sent += lines * c.others
		}
		if c.holds {
			shown++
			want.WriteString(strings.Repeat(fmt.Sprintf("%d\n", i), lines))
		}
	}
	script.WriteString("begin { exit(); }")
	obj, diags := compile(t, kernel.Live(), script.String())
	if obj == nil {
		t.Fatal(diags)
	}
	texts := 0
	all := builtins.All()
	for _, d := range all {
		if d.Name == "username" {
			d.Format = func(builtins.Env, *types.Type, []byte) values.Value { texts++; return values.Str{S: "true"} }
		}
	}
	var out bytes.Buffer
	s, err := runtime.Load(obj, runtime.Setup{
		Sink: output.NewText(output.NewWriter(&out, output.Line), &bytes.Buffer{}, output.Style{}), Defs: builtins.NewRegistry(all),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if got := strings.Trim(out.String(), "\n") + "\n"; got != want.String() {
		t.Errorf("printed:\n%s\nwant:\n%s", got, want.String())
	}
	if texts != sent {
		t.Errorf("user space looked at %d parts, want %d", texts, sent)
	}
	if shown == 0 || shown > n*9/10 {
		t.Errorf("%d of %d predicates are true", shown, n)
	}
}
