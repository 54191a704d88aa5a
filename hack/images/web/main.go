// Command web is the server of the first lessons: it answers every request with who answered. Several replicas behind
// one Service show load balancing; a second version, which differs only in the VERSION of its image, shows a
// rolling update; /healthz is there for probes.
//
// It learns who it is from the environment (POD_NAME, POD_NAMESPACE, NODE_NAME, POD_IP), which a manifest
// fills through the downward API. Without that it still tells what every container can know by itself: its
// host name, which is the pod's name, the namespace of its service account, and from that account's token the node:
// a token says of itself to which pod on which node it was given.
package main

import (
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// What every pod is given with its service account.
const (
	namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
	tokenFile     = "/var/run/secrets/kubernetes.io/serviceaccount/token"
)

// identity is what the answer tells.
type identity struct {
	Version, Pod, Namespace, Node, IP string
}

func main() {
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := serve(ctx, ":"+or(os.Getenv("PORT"), "8080"), whoAmI()); err != nil {
		log.Fatal(err)
	}
}

// serve answers until ctx ends, then lets the requests under way finish: a pod that is deleted has been taken
// out of its Services by then, and no user sees a broken answer.
func serve(ctx context.Context, addr string, me identity) error {
	server := &http.Server{Addr: addr, Handler: handler(me), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		log.Print("asked to stop, finishing the requests under way")
		finish, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		server.Shutdown(finish)
	}()
	log.Printf("version %s of web listens on %s as pod %s", me.Version, addr, me.Pod)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func handler(me identity) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		log.Printf("%s %s from %s", r.Method, r.URL.Path, r.RemoteAddr)
		answer(w, r, me)
	})
	return mux
}

// answer is a page for browsers, which say that they take HTML, and plain lines for everyone else.
func answer(w http.ResponseWriter, r *http.Request, me identity) {
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		page.Execute(w, me)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "Hello from Bonsai!\nversion:   %s\npod:       %s\nnamespace: %s\nnode:      %s\naddress:   %s\n",
		me.Version, me.Pod, me.Namespace, me.Node, me.IP)
}

func whoAmI() identity {
	host, _ := os.Hostname()
	namespace, _ := os.ReadFile(namespaceFile)
	return identity{
		Version:   or(os.Getenv("VERSION"), "unknown"),
		Pod:       or(os.Getenv("POD_NAME"), host, "unknown"),
		Namespace: or(os.Getenv("POD_NAMESPACE"), strings.TrimSpace(string(namespace)), "unknown"),
		Node:      or(os.Getenv("NODE_NAME"), nodeInToken(tokenFile), "unknown (set NODE_NAME from spec.nodeName)"),
		IP:        or(os.Getenv("POD_IP"), ownAddress(), "unknown"),
	}
}

// nodeInToken reads the node's name from a service account token. Its middle part is JSON that anybody may read; only
// writing one takes the cluster's key, so a reader who must trust it checks the signature, and this one need not.
func nodeInToken(file string) string {
	token, err := os.ReadFile(file)
	parts := strings.Split(string(token), ".")
	if err != nil || len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Kubernetes struct {
			Node struct {
				Name string `json:"name"`
			} `json:"node"`
		} `json:"kubernetes.io"`
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Kubernetes.Node.Name
}

// ownAddress is the first address that others can reach.
func ownAddress() string {
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() {
			return ip.IP.String()
		}
	}
	return ""
}

func or(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
