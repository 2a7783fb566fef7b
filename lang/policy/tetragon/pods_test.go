package tetragon

import (
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/cgroups"
)

// TestPodSelectors selects the containers of a machine by labels, names and namespaces.
func TestPodSelectors(t *testing.T) {
	machine := &Machine{Namespaces: map[string]uint64{"pid": 7}, Containers: func() []*Container {
		return []*Container{
			{&cgroups.Container{Name: "web", Image: "images.example/nginx", Namespace: "shop", Pod: "web-1", Labels: map[string]string{"app": "web", "tier": "front"}}, []uint64{11, 12}},
			{&cgroups.Container{Name: "db", Image: "images.example/postgres", Namespace: "default", Pod: "db-1", Labels: map[string]string{"app": "db"}}, []uint64{21}},
			{&cgroups.Container{Name: "lone", Image: "busybox"}, []uint64{31}},
		}
	}}
	all := "none of the 3 containers that run here is selected"
	for _, c := range []struct{ head, spec, want string }{
		{"", "podSelector: {matchLabels: {app: web}}", "cgroup in (0, 11, 12)"},
		{"", "podSelector: {matchLabels: {app: web, tier: back}}", all},
		{"", "podSelector: {matchExpressions: [{key: app, operator: In, values: [db, x]}]}", "cgroup in (0, 21)"},
		{"", "podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [db]}]}", "cgroup in (0, 11, 12, 31)"},
		{"", "podSelector: {matchExpressions: [{key: tier, operator: Exists}]}", "cgroup in (0, 11, 12)"},
		{"", "podSelector: {matchExpressions: [{key: app, operator: DoesNotExist}]}", "cgroup in (0, 31)"},
		{"", "podSelector: {matchLabels: {io.kubernetes.pod.namespace: shop}}", "cgroup in (0, 11, 12)"},
		{"", "podSelector: {matchLabels: {k8s:io.kubernetes.pod.name: db-1}}", "cgroup in (0, 21)"},
		{"", "containerSelector: {matchLabels: {name: db}}", "cgroup in (0, 21)"},
		{"", "containerSelector: {matchExpressions: [{key: repo, operator: In, values: [images.example/nginx, busybox]}]}", "cgroup in (0, 11, 12, 31)"},
		{"", "podSelector: {matchLabels: {app: web}}\n  containerSelector: {matchLabels: {name: db}}", all},
		{"", "podSelector: {matchLabels: {app: db}}\n  hostSelector: {}", "if (tg_pid_ns() == 7 || cgroup in (0, 21)) {"},
		{"", "podSelector: {}", "if (tg_pid_ns() != 7) {"},
		{"Namespaced", "loader: false", "cgroup in (0, 21)"},
		{"Namespaced, namespace: shop", "podSelector: {}", "cgroup in (0, 11, 12)"},
		{"", "podSelector: {matchExpressions: [{key: a, operator: Gt, values: [1]}]}", "there is no operator 'Gt'"},
		{"", "podSelector: {matchExpressions: [{key: a, operator: In}]}", "In and NotIn take values, and Exists and DoesNotExist do not"},
		{"", "podSelector: {matchExpressions: [{key: a, operator: Exists, values: [a]}]}", "In and NotIn take values, and Exists and DoesNotExist do not"},
	} {
		kind, ns, _ := strings.Cut(c.head, ",")
		if ns != "" {
			ns = "," + ns
		}
		text := "apiVersion: cilium.io/v1alpha1\nkind: TracingPolicy" + kind + "\nmetadata: {name: test" + ns + "}\nspec:\n  " + c.spec +
			"\n  tracepoints: [{subsystem: syscalls, event: sys_enter_openat}]\n"
		var diags source.Diags
		got := ""
		if tr := Translate(documents(text, &diags), machine, &policy.Terms{Kernel: frozen(t)}, &diags); tr != nil {
			got = tr.Script.Text[tr.preamble:]
		}
		for _, d := range diags.All() {
			got += d.Render()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s %s: %s", c.head, c.spec, got)
		}
	}
}

// TestOldTTYWrite translates a policy with the arguments that tty_write had before Linux
// 5.12.
func TestOldTTYWrite(t *testing.T) {
	var diags source.Diags
	args := documents("[{index: 0, type: file}, {index: 1, type: char_buf, sizeArgIndex: 3}]", &diags)[0].Root
	old := oldTTYWrite(numberedArgs, args)
	for i, want := range []string{"((struct kiocb*)arg0).ki_filp", "tg_iter_at((struct iov_iter*)arg1)", "tg_iter_len((struct iov_iter*)arg1)", ""} {
		if got, _ := old(i); got != want {
			t.Errorf("argument %d: %s, want %s", i, got, want)
		}
	}
	args = documents("[{index: 0, type: kiocb}]", &diags)[0].Root
	if got, _ := oldTTYWrite(numberedArgs, args)(0); got != "arg0" {
		t.Errorf("the argument of a new policy: %s", got)
	}
}
