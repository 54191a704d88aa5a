package machine

import (
	"bytes"
	"strings"
	"text/template"
)

// PauseImage is the image of every pod sandbox.
const PauseImage = "bonsai.local/pause:1"

// containerdConfig is the configuration of a node's containerd. It names every path, so that nothing of
// another containerd on the machine (/etc/containerd, /run/containerd, /opt/cni) is read or written.
var containerdConfig = template.Must(template.New("config.toml").Funcs(template.FuncMap{
	"quote": tomlQuote,
}).Parse(`# Made by bonsai at every start; changes here are lost.
version = 4
root = {{quote (.Dir.Join "containerd" "root")}}
state = {{quote (.Dir.Join "containerd" "state")}}
temp = {{quote (.Dir.Join "containerd" "tmp")}}
imports = []
oom_score = 0
required_plugins = ['io.containerd.grpc.v1.cri']

[plugins]
  [plugins.'io.containerd.server.v1.grpc']
    address = {{quote .Dir.Socket}}
  [plugins.'io.containerd.server.v1.ttrpc']
    address = {{quote (print .Dir.Socket ".ttrpc")}}

  # The sockets of the shims. Their addresses are limited to some 100 bytes, so they are not below root.
  [plugins.'io.containerd.shim.v1.manager']
    socket_dir = {{quote (print .Dir.Run "/s")}}

  # Plugins of the container runtime from outside have no place on this node.
  [plugins.'io.containerd.nri.v1.nri']
    disable = true

  # CRI's exec, attach and port-forward streams; only the kubelet on this machine dials them.
  [plugins.'io.containerd.grpc.v1.cri']
    stream_server_address = '127.0.0.1'
    stream_server_port = '0'

  [plugins.'io.containerd.cri.v1.images']
    snapshotter = {{quote .Snapshotter}}
    discard_unpacked_layers = false
    [plugins.'io.containerd.cri.v1.images'.pinned_images]
      sandbox = {{quote .PauseImage}}
    [plugins.'io.containerd.cri.v1.images'.registry]
      config_path = {{quote (.Dir.Join "containerd" "certs.d")}}

  # Pulls go through this service, which has its own idea of where registries are configured and of what to
  # unpack into.
  [plugins.'io.containerd.transfer.v1.local']
    config_path = {{quote (.Dir.Join "containerd" "certs.d")}}
    [[plugins.'io.containerd.transfer.v1.local'.unpack_config]]
      platform = {{quote .Platform}}
      snapshotter = {{quote .Snapshotter}}
      differ = 'walking'

  [plugins.'io.containerd.cri.v1.runtime']
    # Network namespaces of pods are mounts; below the state directory they are found and undone with the rest.
    netns_mounts_under_state_dir = true
    # Without CAP_SYS_RESOURCE the kernel refuses to make a process less likely to be killed than this one is.
    restrict_oom_score_adj = {{.RestrictOOMScoreAdj}}
    # How often each container's CPU use is sampled. Upstream asks every shim every second, idle or not.
    stats_collect_period = '10s'
    [plugins.'io.containerd.cri.v1.runtime'.cni]
      bin_dirs = [{{quote .Dir.Bin}}]
      conf_dir = {{quote (.Dir.Join "cni" "conf")}}
      # The loopback interface of a pod is brought up by containerd itself: one program less to run per pod.
      use_internal_loopback = true
    [plugins.'io.containerd.cri.v1.runtime'.containerd]
      default_runtime_name = 'runc'
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
        runtime_type = 'io.containerd.runc.v2'
        runtime_path = {{quote (print .Dir.Bin "/containerd-shim-runc-v2")}}
        [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
          BinaryName = {{quote (print .Dir.Bin "/runc")}}
          Root = {{quote (.Dir.Join "containerd" "state" "runc")}}
          SystemdCgroup = false
`))

// containerdSettings is what the configuration depends on.
type containerdSettings struct {
	Dir                 Dir
	PauseImage          string
	Snapshotter         string
	Platform            string
	RestrictOOMScoreAdj bool
}

func (s containerdSettings) render() []byte {
	var out bytes.Buffer
	if err := containerdConfig.Execute(&out, s); err != nil {
		panic(err) // the template and its fields are constants
	}
	return out.Bytes()
}

// tomlQuote is a TOML literal string, or a basic one where the value has a quote or a control character.
func tomlQuote(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r == '\'' || r < ' ' || r == 0x7f }) {
		return "'" + s + "'"
	}
	return `"` + tomlEscapes.Replace(s) + `"`
}

var tomlEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "\r", `\r`)
