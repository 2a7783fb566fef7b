package builtins

import (
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
)

// priorities are those of syslog and Falco, the most urgent first.
var priorities = []string{"Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug"}

func alert() *Def {
	return &Def{
		Name:   "alert",
		Kind:   Action,
		Params: append([]Param{{Name: "priority"}}, formatParams...),
		Doc: Doc{
			Summary: "Prints a line with the time of the event, a priority, and text that is formatted as by printf: alert(\"critical\", \"shell in %s\", cgroup_path(cgroup)). " +
				"The priorities are emergency, alert, critical, error, warning, notice, informational and debug. The time is in UTC. With -f json the line is an object with time, priority and output.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat /str(args.filename) == "/etc/shadow" && limit(comm, 5m)/ { alert("warning", "%s (%d) opens %s", comm, pid, str(args.filename)); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if call.Data = checkAlert(c, call); call.Data == (*alertMessage)(nil) && c.Final() {
				return types.TInvalid
			}
			return types.TVoid
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			m := call.Data.(*alertMessage)
			args, ts := []*Arg{{Span: call.Span, Value: g.B().Call(ir.KtimeBootNs)}}, []*types.Type{types.TUint64}
			for _, n := range m.send {
				args, ts = append(args, &call.Args[n]), append(ts, call.Args[n].Type.Decay())
			}
			g.Send(call, args, ts, []any{m.Message, m.priority})
			return nil
		},
		Records: Records{
			Shows: true,
			Sends: []Sent{{Args: []int{8}, Lits: []any{(*object.Message)(nil), ""}}},
			Handle: func(env Env, rec *object.Record) error {
				env.Out().Alert(output.Alert{
					Time: env.BootToWall(word(rec.Arg(0), 0)), Priority: rec.Lits[1].(string), Text: renderRecord(env, rec),
				})
				return nil
			},
		},
	}
}

// alertMessage is a formatted message with a priority. The time is the first value in its
// record.
type alertMessage struct {
	*message
	priority string
}

// checkAlert checks the arguments of alert. It returns nil after an error, and if the types
// are not final.
func checkAlert(c Checker, call *Call) *alertMessage {
	name, ok := wantString(c, call, 0)
	if !ok || !c.Final() {
		return nil
	}
	a := &alertMessage{}
	for _, p := range priorities {
		if strings.EqualFold(p, name) || p == "Informational" && strings.EqualFold(name, "info") {
			a.priority = p
		}
	}
	if a.priority == "" {
		names := strings.ToLower(strings.Join(priorities, ", "))
		hint := source.DidYouMean(strings.ToLower(name), strings.Split(names, ", "))
		if hint == "" {
			hint = "the priorities are " + names
		}
		c.ErrorHint(call.Args[0].Span, hint, "Unknown priority: %q", name)
		return nil
	}
	if a.message = checkFormat(c, call, 1); a.message == nil {
		return nil
	}
	for i := range a.Args {
		if a.Args[i].Rec >= 0 {
			a.Args[i].Rec++
		}
	}
	return a
}
