package falco

// fieldTable has a line for each field: the name, the type, and what is special:
// arg (must have an argument), arg? (may have one), dot (after a dot), any, list, filter,
// print, never.
const fieldTable = `
evt.num number
evt.time text
evt.time.s text
evt.time.iso8601 text
evt.datetime text
evt.datetime.s text
evt.rawtime number
evt.rawtime.s number
evt.rawtime.ns number
evt.reltime number
evt.reltime.s number
evt.reltime.ns number
evt.pluginname text never
evt.plugininfo text never
evt.source text
evt.is_async bool
evt.asynctype text never
evt.hostname text
evt.latency number never
evt.latency.s number never
evt.latency.ns number never
evt.latency.quantized number never
evt.latency.human text never
evt.deltatime number
evt.deltatime.s number
evt.deltatime.ns number
evt.outputtime text print
evt.dir text
evt.type text
evt.type.is number arg dot
syscall.type text
evt.category text
evt.cpu number
evt.args text
evt.arg text arg dot
evt.rawarg text arg dot
evt.info text
evt.buffer text
evt.buflen number
evt.res text
evt.rawres number
evt.failed bool
evt.is_io bool
evt.is_io_read bool
evt.is_io_write bool
evt.io_dir text
evt.is_wait bool
evt.wait_latency number never
evt.is_syslog bool
evt.count number
evt.count.error number
evt.count.error.file number
evt.count.error.net number
evt.count.error.memory number
evt.count.error.other number
evt.count.exit number
evt.count.procinfo number never
evt.count.threadinfo number never
evt.around number arg filter
evt.abspath text arg? dot
evt.buflen.in number
evt.buflen.out number
evt.buflen.file number
evt.buflen.file.in number
evt.buflen.file.out number
evt.buflen.net number
evt.buflen.net.in number
evt.buflen.net.out number
evt.is_open_read bool
evt.is_open_write bool
evt.is_open_exec bool
evt.is_open_create bool
evt.infra.docker.name text never
evt.infra.docker.container.id text never
evt.infra.docker.container.name text never
evt.infra.docker.container.image text never
proc.exe text
proc.pexe text
proc.aexe text arg? any
proc.exepath text
proc.pexepath text
proc.aexepath text arg? any
proc.name text
proc.pname text
proc.aname text arg? any
proc.args text
proc.aargs text arg? any
proc.cmdline text
proc.pcmdline text
proc.acmdline text arg? any
proc.cmdnargs number
proc.cmdlenargs number
proc.exeline text
proc.env text arg?
proc.aenv text arg? any
proc.cwd text
proc.loginshellid number
proc.tty number
proc.pid number
proc.ppid number
proc.apid number arg? any
proc.vpid number
proc.pvpid number
proc.sid number
proc.sname text
proc.sid.exe text
proc.sid.exepath text
proc.vpgid number
proc.vpgid.name text
proc.vpgid.exe text
proc.vpgid.exepath text
proc.pgid number
proc.pgid.name text
proc.pgid.exe text
proc.pgid.exepath text
proc.is_pgid_leader bool
proc.duration number
proc.ppid.duration number
proc.pid.ts number
proc.ppid.ts number
proc.is_exe_writable bool
proc.is_exe_upper_layer bool
proc.is_exe_lower_layer bool
proc.is_exe_from_memfd bool
proc.is_sid_leader bool
proc.is_vpgid_leader bool
proc.exe_ino number
proc.exe_ino.ctime number
proc.exe_ino.mtime number
proc.exe_ino.ctime_duration_proc_start number
proc.exe_ino.ctime_duration_pidns_start number
proc.pidns_init_start_ts number
thread.cap_permitted text
thread.cap_inheritable text
thread.cap_effective text
proc.is_container_healthcheck bool
proc.is_container_liveness_probe bool
proc.is_container_readiness_probe bool
proc.fdopencount number
proc.fdlimit number
proc.fdusage decimal
proc.vmsize number
proc.vmrss number
proc.vmswap number
proc.stdin.type text
proc.stdout.type text
proc.stderr.type text
proc.stdin.name text
proc.stdout.name text
proc.stderr.name text
thread.pfmajor number
thread.pfminor number
thread.tid number
thread.ismain bool
thread.vtid number
thread.nametid text
thread.exectime number never
thread.totexectime number never
thread.cgroups text
thread.cgroup text arg dot
proc.nthreads number
proc.nchilds number
thread.cpu number never
thread.cpu.user number never
thread.cpu.system number never
thread.vmsize number
thread.vmrss number
thread.vmsize.b number
thread.vmrss.b number
fd.num number
fd.type text
fd.typechar text
fd.name text
fd.directory text
fd.filename text
fd.ip address filter any
fd.cip address
fd.sip address
fd.lip address
fd.rip address
fd.port port filter any
fd.cport port
fd.sport port
fd.lport port
fd.rport port
fd.l4proto text
fd.sockfamily text
fd.is_server bool
fd.uid text
fd.containername text
fd.containerdirectory text
fd.proto text filter any
fd.cproto text
fd.sproto text
fd.lproto text
fd.rproto text
fd.net network filter any
fd.cnet network filter
fd.snet network filter
fd.lnet network filter
fd.rnet network filter
fd.connected bool
fd.name_changed bool
fd.cip.name text
fd.sip.name text
fd.lip.name text
fd.rip.name text
fd.dev number
fd.dev.major number
fd.dev.minor number
fd.ino number
fd.nameraw text
fd.types text arg? list
fd.is_upper_layer bool
fd.is_lower_layer bool
fdlist.nums text
fdlist.names text
fdlist.cips text
fdlist.sips text
fdlist.cports text
fdlist.sports text
fs.path.name text
fs.path.nameraw text
fs.path.source text
fs.path.sourceraw text
fs.path.target text
fs.path.targetraw text
user.uid number
user.name text
user.homedir text
user.shell text
user.loginuid number
user.loginname text
group.gid number
group.name text
syslog.facility.str text never
syslog.facility number never
syslog.severity.str text never
syslog.severity number never
syslog.message text never
container.id text
container.full_id text
container.name text
container.image text
container.image.id text
container.type text
container.privileged bool
container.mounts text
container.mount text arg
container.mount.source text arg
container.mount.dest text arg
container.mount.mode text arg
container.mount.rdwr text arg
container.mount.propagation text arg
container.image.repository text
container.image.tag text
container.image.digest text
container.healthcheck text
container.liveness_probe text
container.readiness_probe text
container.start_ts number
container.duration number
container.ip text
container.cni.json text
container.host_pid bool
container.host_network bool
container.host_ipc bool
container.label text arg dot
container.labels text
k8s.pod.name text
k8s.pod.id text
k8s.pod.uid text
k8s.pod.sandbox_id text
k8s.pod.full_sandbox_id text
k8s.pod.label text arg dot
k8s.pod.labels text
k8s.pod.ip text
k8s.pod.cni.json text
k8s.ns.name text
k8s.ns.id text never
k8s.ns.label text arg dot never
k8s.ns.labels text never
k8s.rc.name text never
k8s.rc.id text never
k8s.rc.label text arg dot never
k8s.rc.labels text never
k8s.svc.name text never
k8s.svc.id text never
k8s.svc.label text arg dot never
k8s.svc.labels text never
k8s.rs.name text never
k8s.rs.id text never
k8s.rs.label text arg dot never
k8s.rs.labels text never
k8s.deployment.name text never
k8s.deployment.id text never
k8s.deployment.label text arg dot never
k8s.deployment.labels text never
k8smeta.pod.name text never
k8smeta.pod.uid text never
k8smeta.pod.label text arg never
k8smeta.pod.labels text never
k8smeta.pod.ip text never
k8smeta.ns.name text never
k8smeta.ns.uid text never
k8smeta.ns.label text arg never
k8smeta.ns.labels text never
k8smeta.deployment.name text never
k8smeta.deployment.uid text never
k8smeta.deployment.label text arg never
k8smeta.deployment.labels text never
k8smeta.svc.name text list never
k8smeta.svc.uid text list never
k8smeta.svc.label text arg list never
k8smeta.svc.labels text list never
k8smeta.rs.name text never
k8smeta.rs.uid text never
k8smeta.rs.label text arg never
k8smeta.rs.labels text never
k8smeta.rc.name text never
k8smeta.rc.uid text never
k8smeta.rc.label text arg never
k8smeta.rc.labels text never
`
