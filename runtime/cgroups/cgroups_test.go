package cgroups

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// idOf returns an ID of a container that begins with a digit.
func idOf(n int) string {
	return fmt.Sprintf("%02x", n) + strings.Repeat("0123456789abcdef", 4)[:idLen-2]
}

const testPodUID = "0a1b2c3d-1111-2222-3333-444455556666"

func TestOwnerOf(t *testing.T) {
	id := idOf(1)
	under := strings.ReplaceAll(testPodUID, "-", "_")
	static := strings.ReplaceAll(testPodUID, "-", "")
	for _, c := range []struct {
		path string
		want Owner
	}{
		{"/", Owner{}},
		{"", Owner{}},
		{"/system.slice/nginx.service", Owner{Unit: "nginx.service"}},
		{"/system.slice/nginx.service/worker", Owner{Unit: "nginx.service"}},
		{"/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service", Owner{Unit: "foo.service"}},
		{"/user.slice/user-1000.slice/session-2.scope", Owner{Unit: "session-2.scope"}},
		{"/user.slice", Owner{}},
		{"/docker/" + id, Owner{Container: id}},
		{"/docker/" + id + "/init", Owner{Container: id}},
		{"/system.slice/docker-" + id + ".scope", Owner{Container: id, Unit: "docker-" + id + ".scope"}},
		{"/docker/" + id + "/docker/" + idOf(2), Owner{Container: idOf(2)}},
		{"/system.slice/docker-" + id + ".scope/system.slice/x.service", Owner{Container: id, Unit: "x.service"}},
		{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + under + ".slice/cri-containerd-" + id + ".scope",
			Owner{Container: id, PodUID: testPodUID, Unit: "cri-containerd-" + id + ".scope"}},
		{"/kubepods.slice/kubepods-pod" + static + ".slice/crio-" + id + ".scope/container", Owner{Container: id, PodUID: static, Unit: "crio-" + id + ".scope"}},
		{"/kubepods.slice/kubepods-pod" + under + ".slice/crio-conmon-" + id + ".scope", Owner{PodUID: testPodUID, Unit: "crio-conmon-" + id + ".scope"}},
		{"/kubepods/burstable/pod" + testPodUID + "/" + id, Owner{Container: id, PodUID: testPodUID}},
		{"/kubelet/kubepods-besteffort-pod" + under + ".slice:cri-containerd:" + id, Owner{Container: id}},
		{"/machine.slice/libpod-" + id + ".scope/container", Owner{Container: id, Unit: "libpod-" + id + ".scope"}},
		{"/machine.slice/libpod-conmon-" + id + ".scope", Owner{Unit: "libpod-conmon-" + id + ".scope"}},
		{"/machine.slice/machine-libpod_pod_" + id + ".slice/libpod-" + idOf(2) + ".scope", Owner{Container: idOf(2), PodUID: id, Unit: "libpod-" + idOf(2) + ".scope"}},
		{"/lxc.payload.web/system.slice/x.service", Owner{Container: "web", Unit: "x.service"}},
		{`/machine.slice/machine-my\x2dbox.scope`, Owner{Container: "my-box", Unit: `machine-my\x2dbox.scope`}},
		{"/docker/" + id[1:], Owner{}},
		{"/docker/" + strings.ToUpper(id), Owner{}},
		{"/podman/pod", Owner{}},
		{"/.service", Owner{}},
	} {
		if diff := cmp.Diff(c.want, OwnerOf(c.path)); diff != "" {
			t.Errorf("%s:\n%s", c.path, diff)
		}
	}
}

func TestRuntimeOf(t *testing.T) {
	id := idOf(1)
	for path, want := range map[string]string{
		"/":                                     "",
		"/docker/" + id:                         "docker",
		"/docker/" + id + "/init":               "docker",
		"/system.slice/docker-" + id + ".scope": "docker",
		"/kubepods.slice/cri-containerd-" + id + ".scope":               "containerd",
		"/kubelet/kubepods-pod1.slice:cri-containerd:" + id:             "containerd",
		"/system.slice/nerdctl-" + id + ".scope":                        "containerd",
		"/kubepods.slice/crio-" + id + ".scope/container":               "cri-o",
		"/machine.slice/libpod-" + id + ".scope":                        "podman",
		"/kubepods/burstable/pod" + testPodUID + "/" + id:               "",
		"/docker/" + id + "/machine.slice/libpod-" + idOf(2) + ".scope": "podman",
		"/lxc.payload.web": "lxc",
		"/machine.slice/libpod-conmon-" + id + ".scope": "",
	} {
		if got := RuntimeOf(path); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

// tree makes files below a directory. A value that is not a string is written as JSON.
func tree(t *testing.T, files map[string]any) string {
	t.Helper()
	root := t.TempDir()
	for path, content := range files {
		text, ok := content.(string)
		if !ok {
			data, err := json.Marshal(content)
			if err != nil {
				t.Fatal(err)
			}
			text = string(data)
		}
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

type object = map[string]any

// system is a file system with containers of all runtimes, files that are damaged, and a
// cgroup hierarchy.
func system(t *testing.T) *System {
	t.Helper()
	root := tree(t, object{
		"/var/lib/docker/containers/" + idOf(1) + "/config.v2.json": object{"ID": idOf(1), "Name": "/web", "State": object{"Pid": 7}},
		"/var/lib/docker/containers/" + idOf(9) + "/config.v2.json": object{"ID": idOf(9), "Name": "/stopped"},
		"/var/lib/docker/containers/bad/config.v2.json":             "{",
		"/run/containerd/io.containerd.runtime.v2.task/k8s.io/" + idOf(2) + "/config.json": object{"annotations": object{
			"io.kubernetes.cri.container-name": "app", "io.kubernetes.cri.sandbox-name": "front", "io.kubernetes.cri.sandbox-namespace": "prod", "io.kubernetes.cri.sandbox-uid": testPodUID}},
		"/run/containerd/io.containerd.runtime.v2.task/k8s.io/" + idOf(3) + "/config.json": object{"annotations": object{
			"io.kubernetes.cri.container-name": "app", "io.kubernetes.cri.sandbox-name": "back", "io.kubernetes.cri.sandbox-namespace": "prod"}},
		"/run/containerd/io.containerd.runtime.v2.task/default/redis/init.pid": "42\n",
		"/var/lib/nerdctl/1935db59/names/default/mail":                         idOf(4),
		"/var/lib/containers/storage/overlay-containers/containers.json":       []object{{"id": idOf(5), "names": []string{"db"}}, {"id": ""}},
		"/var/lib/containers/storage/overlay-containers/" + idOf(6) + "/userdata/config.json": object{"annotations": object{
			"io.kubernetes.container.name": "proxy", "io.kubernetes.pod.name": "edge", "io.kubernetes.pod.namespace": "prod", "io.kubernetes.pod.uid": testPodUID[1:] + "0"}},
		"/home/ann/.local/share/containers/storage/overlay-containers/containers.json": []object{{"id": idOf(7), "names": []string{"hers"}}},
		"/proc/42/cgroup": "1:name=systemd:/x\n0::/default/redis\n",
	})
	hierarchy := filepath.Join(root, "cg roup")
	for _, dir := range []string{
		"system.slice/docker-" + idOf(1) + ".scope/inner", "docker/" + idOf(8),
		"kubepods.slice/kubepods-pod" + strings.ReplaceAll(testPodUID, "-", "_") + ".slice/cri-containerd-" + idOf(2) + ".scope",
		"kubepods.slice/cri-containerd-" + idOf(3) + ".scope", "default/redis", "system.slice/nerdctl-" + idOf(4) + ".scope",
		"machine.slice/libpod-" + idOf(5) + ".scope", "kubepods.slice/crio-" + idOf(6) + ".scope", "user.slice/libpod-" + idOf(7) + ".scope",
		"system.slice/nginx.service", "a/same.service", "b/same.service",
	} {
		if err := os.MkdirAll(filepath.Join(hierarchy, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mounts := strings.ReplaceAll(hierarchy, " ", `\040`)
	if err := os.MkdirAll(root+"/proc/self", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/proc/self/mounts", []byte("none /v1/memory cgroup rw 0 0\nnone "+mounts+" cgroup2 rw 0 0\nshort\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return &System{Root: root, Proc: root + "/proc"}
}

func TestFind(t *testing.T) {
	s := system(t)
	root, err := Version2(s.Proc)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ kind, name, want string }{
		{"container", "web", "system.slice/docker-" + idOf(1) + ".scope"},
		{"container", idOf(1), "system.slice/docker-" + idOf(1) + ".scope"},
		{"container", "01", "system.slice/docker-" + idOf(1) + ".scope"},
		{"container", idOf(8)[:12], "docker/" + idOf(8)},
		{"container", "prod/front/app", "kubepods.slice/kubepods-pod" + strings.ReplaceAll(testPodUID, "-", "_") + ".slice/cri-containerd-" + idOf(2) + ".scope"},
		{"container", "back/app", "kubepods.slice/cri-containerd-" + idOf(3) + ".scope"},
		{"container", "app", "ERROR 2 running containers are called \"app\": prod/back/app (030123456789), prod/front/app (020123456789)"},
		{"container", "redis", "default/redis"},
		{"container", "mail", "system.slice/nerdctl-" + idOf(4) + ".scope"},
		{"container", "db", "machine.slice/libpod-" + idOf(5) + ".scope"},
		{"container", "edge/proxy", "kubepods.slice/crio-" + idOf(6) + ".scope"},
		{"container", "hers", "user.slice/libpod-" + idOf(7) + ".scope"},
		{"container", "0", "ERROR 8 running containers are called \"0\""},
		{"container", "stopped", "ERROR container stopped (090123456789) does not run"},
		{"container", "", "ERROR no container \"\" runs"},
		{"container", "..", "ERROR no container \"..\" runs"},
		{"unit", "nginx", "system.slice/nginx.service"},
		{"unit", "nginx.service", "system.slice/nginx.service"},
		{"unit", "system.slice", "system.slice"},
		{"unit", "same", "ERROR 2 running units are called same.service"},
		{"unit", "ngin", "ERROR no unit ngin.service runs"},
		{"unit", "", "ERROR no unit .service runs"},
		{"unit", "*", "ERROR no unit *.service runs"},
		{"pod", "prod/front", "kubepods.slice/kubepods-pod" + strings.ReplaceAll(testPodUID, "-", "_") + ".slice"},
		{"pod", "front", "kubepods.slice/kubepods-pod" + strings.ReplaceAll(testPodUID, "-", "_") + ".slice"},
		{"pod", testPodUID, "kubepods.slice/kubepods-pod" + strings.ReplaceAll(testPodUID, "-", "_") + ".slice"},
		{"pod", "frond", "ERROR no pod \"frond\" runs"},
	} {
		find := map[string]func(string) (string, error){"container": s.FindContainer, "unit": s.FindUnit, "pod": s.FindPod}[c.kind]
		dir, err := find(c.name)
		got := strings.TrimPrefix(dir, root+"/")
		if err != nil {
			got = "ERROR " + err.Error()
		}
		if got != c.want && !(err != nil && strings.HasPrefix(got, c.want)) {
			t.Errorf("%s %q: got %s, want %s", c.kind, c.name, got, c.want)
		}
	}
	var missing *NotFoundError
	if _, err := s.FindContainer("wec"); !errors.As(err, &missing) || !strings.Contains(strings.Join(missing.Names, " "), "web") {
		t.Errorf("the error does not list the containers that run: %v", err)
	}
	if got := s.Pod(testPodUID); got != "prod/front" {
		t.Errorf("pod %q", got)
	}
}

// TestNoHierarchy checks the error on a machine with version 1 alone.
func TestNoHierarchy(t *testing.T) {
	s := &System{Root: t.TempDir(), Proc: t.TempDir()}
	for _, find := range []func(string) (string, error){s.FindContainer, s.FindUnit, s.FindPod} {
		if _, err := find("x"); !errors.Is(err, ErrNone) {
			t.Errorf("got %v", err)
		}
	}
}
