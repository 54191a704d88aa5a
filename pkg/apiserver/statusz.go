package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"time"

	"bonsai/pkg/version"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// statusz is what /statusz tells: what is running here, and for how long. Programs ask for it by its group and version.
type statusz struct {
	metav1.TypeMeta  `json:",inline"`
	Metadata         map[string]string `json:"metadata"`
	StartTime        string            `json:"startTime"`
	UptimeSeconds    int64             `json:"uptimeSeconds"`
	GoVersion        string            `json:"goVersion"`
	BinaryVersion    string            `json:"binaryVersion"`
	EmulationVersion string            `json:"emulationVersion"`
	Paths            []string          `json:"paths"`
}

func (s *Server) serveStatusz(w http.ResponseWriter, r *http.Request) {
	release := version.Major + "." + version.Minor
	up := s.now().Sub(s.began)
	z := statusz{
		Metadata: map[string]string{"name": "apiserver"}, StartTime: s.began.UTC().Format(time.RFC3339), UptimeSeconds: int64(up.Seconds()),
		GoVersion: runtime.Version(), BinaryVersion: release, EmulationVersion: release,
		Paths: []string{"/healthz", "/livez", "/metrics", "/readyz", "/statusz", "/version"},
	}
	media, ver := statuszFormat(r.Header.Get("Accept"))
	switch media {
	case "text/plain":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "\napiserver statusz\nWarning: This endpoint is not meant to be machine parseable, "+
			"has no formatting compatibility guarantees and is for debugging purposes only.\n\n"+
			"Started: %s\nUp: %s\nGo version: %s\nBinary version: %s\nEmulation version: %s\nPaths: %s\n",
			s.began.UTC().Format(time.UnixDate), uptime(up), z.GoVersion, release, release, strings.Join(z.Paths, " "))
	case "":
		status := statusOf(notAcceptable(typeJSON, typeYAML, "text/plain"))
		status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
		w.Header().Set("Content-Type", typeJSON)
		w.WriteHeader(int(status.Code))
		writeJSON(w, status)
	default:
		z.TypeMeta = metav1.TypeMeta{Kind: "Statusz", APIVersion: "config.k8s.io/" + ver}
		z.serve(w, media, ver)
	}
}

func (z *statusz) serve(w http.ResponseWriter, media, ver string) {
	b, err := json.MarshalIndent(z, "", "  ")
	if err == nil && media == typeYAML {
		b, err = yaml.JSONToYAML(b)
	}
	if err != nil {
		http.Error(w, fmt.Sprintf("encode answer: %v", err), http.StatusInternalServerError)
		return
	}
	if ver == "v1alpha1" {
		w.Header().Set("Warning", `299 - "This version of the statusz endpoint is deprecated. Please use a newer version."`)
	}
	w.Header().Set("Content-Type", media+";g=config.k8s.io;v="+ver+";as=Statusz")
	_, _ = w.Write(b) // fails only if the client has gone
}

// statuszFormat is the first of what a client accepts that there is: text, or one of the versions of the kind. Empty is none.
func statuszFormat(accept string) (media, ver string) {
	if accept == "" {
		return "text/plain", ""
	}
	for _, w := range wishes(accept) {
		switch p := w.params; w.mediaType {
		case "*/*", "text/*", "text/plain":
			return "text/plain", ""
		case typeJSON, typeYAML:
			if p["g"] == "config.k8s.io" && p["as"] == "Statusz" && (p["v"] == "v1alpha1" || p["v"] == "v1beta1") {
				return w.mediaType, p["v"]
			}
		}
	}
	return "", ""
}

// uptime is d in words.
func uptime(d time.Duration) string {
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	return fmt.Sprintf("%d hr %02d min %02d sec", h, m, s)
}
