package members

import (
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/lang/types"
)

// spelling is the path to a member in some kernels, and the first release that
// has it. since is "" for 5.10, or if the release is not known.
type spelling struct{ path, since string }

// renames lists the members of kernel structs that have different names or paths in kernels
// since 5.10. Each line has the struct and all paths to a member, oldest first. A path has
// the release that introduced it, if that is known. It may lead through members and
// pointers.
const renames = `
task_struct: state __state@5.14
task_struct: cpu thread_info.cpu@5.16
signal_struct: group_exit_task group_exec_task@5.17
mm_struct: mmap mm_mt@6.1
inode: i_atime.tv_sec __i_atime.tv_sec@6.7 i_atime_sec@6.11
inode: i_mtime.tv_sec __i_mtime.tv_sec@6.7 i_mtime_sec@6.11
inode: i_ctime.tv_sec __i_ctime.tv_sec@6.6 i_ctime_sec@6.11
dentry: d_child d_sib@6.8
dentry: d_subdirs d_children@6.8
dentry: d_iname d_shortname.string
super_block: s_d_op __s_d_op
address_space: private_data i_private_data@6.8
kernfs_node: parent __parent@6.15
page: mem_cgroup memcg_data@5.11
page: index __folio_index
bio: bi_disk bi_bdev.bd_disk@5.12
bio: bi_partno bi_bdev.bd_partno@5.12
bio: bi_issue.value issue_time_ns
request: rq_disk q.disk@5.17
request: ioprio bio.bi_ioprio
request: write_hint bio.bi_write_hint
request_queue: backing_dev_info disk.bdi@5.15
block_device: bd_inode bd_mapping.host@6.10
rq: lock __lock@5.14
cfs_rq: nr_running nr_queued
cfs_rq: h_nr_running h_nr_queued
iov_iter: type iter_type@5.14
iov_iter: iov __iov@6.4
module: core_layout mem@6.4
cgroup: ancestor_ids ancestors
hrtimer: state is_queued
inet_connection_sock: icsk_timeout icsk_retransmit_timer.expires icsk_inet.sk.tcp_retransmit_timer.expires
inet_connection_sock: icsk_retransmit_timer icsk_inet.sk.tcp_retransmit_timer
`

// spellings returns the paths to each of the renamed members of a struct.
func spellings(of string) (list [][]spelling) {
	for line := range strings.SplitSeq(renames, "\n") {
		name, paths, _ := strings.Cut(line, ": ")
		if "struct "+name != of {
			continue
		}
		var all []spelling
		for p := range strings.FieldsSeq(paths) {
			path, since, _ := strings.Cut(p, "@")
			all = append(all, spelling{path, since})
		}
		list = append(list, all)
	}
	return list
}

// renamed describes the path in this kernel to the member of t that is called name in
// other kernels. It returns "" if there is none. The path exists in this kernel.
func renamed(t *types.Type, name string) string {
	for _, all := range spellings(t.Name) {
		asked := -1
		for i, s := range all {
			if first, _, _ := strings.Cut(s.path, "."); first == name {
				asked = i
			}
		}
		if asked < 0 {
			continue
		}
		for i := len(all) - 1; i >= 0; i-- {
			if i == asked || !reachable(t, all[i].path) {
				continue
			}
			switch {
			case i > asked && all[i].since != "":
				return fmt.Sprintf("since Linux %s it is '%s'", all[i].since, all[i].path)
			case i < asked && all[i+1].since != "":
				return fmt.Sprintf("before Linux %s it is '%s'", all[i+1].since, all[i].path)
			}
			return fmt.Sprintf("on this kernel it is '%s'", all[i].path)
		}
	}
	return ""
}

// reachable reports whether a path of members exists in t.
func reachable(t *types.Type, path string) bool {
	for name := range strings.SplitSeq(path, ".") {
		if t != nil && t.Kind == types.Pointer {
			t = t.Elem
		}
		if t == nil || t.Kind != types.Struct {
			return false
		}
		f, ok := t.Field(name)
		if !ok {
			return false
		}
		t = f.Type
	}
	return true
}
