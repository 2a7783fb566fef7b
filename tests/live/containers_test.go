package live

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/google/go-cmp/cmp"
)

type record = map[string]any

// testContainer is a container as a runtime would create it: its cgroup, and files that
// describe it.
type testContainer struct {
	id, cgroup string
	files      map[string]any // by path; texts, or values that are written as JSON
	want       fieldsOf
}

// containerOf returns an ID that begins with a digit.
func containerOf(digit string) string {
	return strings.Repeat(digit, 2) + strings.Repeat("0123456789abcdef", 4)[:62]
}

// testContainers are containers of all runtimes, and one that no file describes.
func testContainers() []testContainer {
	const uid, image = "0a1b2c3d-1111-2222-3333-444455556666", "images.example/shop/"
	docker, containerd, crio, podman, other := containerOf("a"), containerOf("b"), containerOf("c"), containerOf("d"), containerOf("e")
	sandbox, digest := strings.Repeat("9", 64), "sha256:"+strings.Repeat("1", 64)
	bundle := "/var/lib/containers/storage/overlay-containers/"
	var all []string
	for i := range 41 {
		all = append(all, fmt.Sprint("CAP_", i))
	}
	return []testContainer{
		{docker, "docker-" + docker + ".scope", record{
			"/var/lib/docker/containers/" + docker + "/config.v2.json": record{"ID": docker, "Name": "/web", "Image": "sha256:" + strings.Repeat("f", 64), "State": record{"StartedAt": "2026-01-02T03:04:05.5Z"},
				"Config":          record{"Image": image + "web:1.2@" + digest, "Labels": record{"tier": "front"}, "Healthcheck": record{"Test": []string{"CMD", "probe", "-x"}}},
				"MountPoints":     record{"/data": record{"Source": "/srv", "RW": true, "Mode": "z", "Propagation": "rprivate"}},
				"NetworkSettings": record{"Networks": record{"bridge": record{"IPAddress": "172.17.0.2"}}}},
			"/var/lib/docker/containers/" + docker + "/hostconfig.json": record{"Privileged": true, "PidMode": "host", "NetworkMode": "bridge"},
		}, fieldsOf{values: []any{"container.name", "web", "container.type", "docker", "container.image", image + "web:1.2@" + digest, "container.image.id", strings.Repeat("f", 12),
			"container.image.repository", image + "web", "container.image.tag", "1.2", "container.image.digest", digest, "container.privileged", true, "container.label[tier]", "front", "container.label.tier", "front",
			"container.mounts", "/srv:/data:z:true:rprivate", "container.mount.source[0]", "/srv", "container.mount.source[/data]", "/srv", "container.mount.dest[/srv]", "/data", "container.mount.rdwr[/sr*]", true, "container.mount.rdwr[/data]", "<NA>", "container.mount[/data]", "<NA>", "container.mount.mode[0]", "z",
			"container.start_ts", 1767323045500000000, "container.ip", "172.17.0.2", "container.healthcheck", "probe -x", "container.host_pid", true, "container.host_network", false,
			"k8s.pod.name", "<NA>", "k8s.ns.name", "<NA>"}}},
		{containerd, "kubepods-pod" + strings.ReplaceAll(uid, "-", "_") + ".slice/cri-containerd-" + containerd + ".scope", record{
			"/run/containerd/io.containerd.runtime.v2.task/k8s.io/" + containerd + "/config.json": record{
				"annotations": record{"io.kubernetes.cri.container-name": "app", "io.kubernetes.cri.image-name": image + "app:v3", "io.kubernetes.cri.sandbox-id": sandbox,
					"io.kubernetes.cri.sandbox-name": "front", "io.kubernetes.cri.sandbox-namespace": "prod", "io.kubernetes.cri.sandbox-uid": uid},
				"process": record{"capabilities": record{"bounding": []string{"CAP_CHOWN"}}},
				"mounts":  []record{{"source": "/srv", "destination": "/cfg", "options": []string{"rbind", "ro", "rslave"}}},
				"linux":   record{"namespaces": []record{{"type": "pid"}, {"type": "ipc"}}}},
		}, fieldsOf{values: []any{"container.name", "app", "container.type", "containerd", "container.image.repository", image + "app", "container.image.tag", "v3", "container.privileged", false,
			"container.mount[0]", "/srv:/cfg:rbind,ro,rslave:false:rslave", "container.mount.propagation[/srv]", "rslave", "container.host_network", true, "container.host_pid", false, "container.host_ipc", false,
			"container.label.io.kubernetes.pod.name", "front", "container.labels", "io.kubernetes.container.name:app, io.kubernetes.pod.name:front, io.kubernetes.pod.namespace:prod, io.kubernetes.pod.uid:" + uid,
			"k8s.pod.name", "front", "k8s.ns.name", "prod", "k8s.pod.uid", uid, "k8s.pod.id", uid, "k8s.pod.sandbox_id", sandbox[:12], "k8s.pod.full_sandbox_id", sandbox}}},
		{crio, "crio-" + crio + ".scope/container", record{
			bundle + crio + "/userdata/config.json": record{"annotations": record{"io.kubernetes.cri-o.ImageName": image + "db:9", "io.kubernetes.cri-o.Labels": `{"app":"store"}`,
				"io.kubernetes.container.name": "db", "io.kubernetes.pod.name": "back", "io.kubernetes.pod.namespace": "prod"}, "process": record{"capabilities": record{"bounding": all}}},
		}, fieldsOf{values: []any{"container.name", "db", "container.type", "cri-o", "container.image.repository", image + "db", "container.image.tag", "9", "container.image.digest", "<NA>", "container.privileged", true,
			"container.labels", "app:store, io.kubernetes.container.name:db, io.kubernetes.pod.name:back, io.kubernetes.pod.namespace:prod", "k8s.pod.label.app", "store", "k8s.pod.name", "back"}}},
		{podman, "libpod-" + podman + ".scope/container", record{
			bundle + "containers.json":                []record{{"id": podman, "names": []string{"cache"}, "metadata": `{"image-name":"` + image + `cache:7","image-id":"` + strings.Repeat("7", 64) + `"}`}},
			bundle + podman + "/userdata/config.json": record{"annotations": record{"io.podman.annotations.privileged": "TRUE", "team": "a"}},
		}, fieldsOf{values: []any{"container.name", "cache", "container.type", "podman", "container.image", image + "cache:7", "container.image.id", strings.Repeat("7", 12), "container.image.repository", image + "cache",
			"container.image.tag", "7", "container.privileged", true, "container.labels", "team:a", "k8s.pod.name", "<NA>"}}},
		{other, "docker/" + other, nil, fieldsOf{values: []any{"container.name", "<NA>", "container.type", "docker", "container.image.repository", "<NA>", "container.privileged", true, "container.start_ts", "<NA>"}}},
	}
}

// TestFalcoContainers runs a program in containers that consist only of cgroups and state
// files. gotrace has a mount namespace with its own directories for these files.
func TestFalcoContainers(t *testing.T) {
	native(t)
	needRoot(t)
	if *peer {
		t.Skip("bpftrace has no rules")
	}
	base, move := policyCgroup(t)
	home, state, containers := ownCgroup(t), t.TempDir(), testContainers()
	var events []fieldsOf
	var dirs []string
	for i := range containers {
		c := &containers[i]
		for path, content := range c.files {
			text, err := json.Marshal(content)
			if err != nil {
				t.Fatal(err)
			}
			path = filepath.Join(state, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		dir := base
		for part := range strings.SplitSeq(c.cgroup, "/") {
			dir = filepath.Join(dir, part)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			made := dir
			t.Cleanup(func() { os.Remove(made) })
		}
		dirs = append(dirs, dir)
		c.want.name = c.id[:2]
		c.want.condition = fmt.Sprintf("evt.type=execve and proc.ppid=%d and proc.args=%s and container.id=%s", os.Getpid(), c.want.name, c.id[:12])
		c.want.values = append(c.want.values, "container.full_id", c.id)
		events = append(events, c.want)
	}
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(rules, []byte(fieldRules(events)), 0o600); err != nil {
		t.Fatal(err)
	}
	const script = `for d in /var/lib /run; do
	mount -t tmpfs tmpfs $d || exit 1
	if [ -d "$STATE$d" ]; then cp -r "$STATE$d/." $d || exit 1; fi
done
exec "$@"`
	cmd := exec.Command("sh", "-c", script, "sh", *gotrace, "policy", "-f", "json", rules)
	cmd.Env = append(os.Environ(), "STATE="+state)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	s := startCommand(t, cmd)
	s.attached()
	for i, c := range containers {
		move(dirs[i])
		err := exec.Command("true", c.want.name).Run()
		move(home)
		if err != nil {
			t.Fatal(err)
		}
	}
	s.signal(unix.SIGINT)
	r := s.wait()
	if diff := cmp.Diff(fieldAlerts(events), falcoAlerts(t, r.stdout)); diff != "" {
		t.Errorf("%s\n%s", diff, r.stderr)
	}
}
