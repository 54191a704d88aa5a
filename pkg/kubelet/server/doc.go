// Package server is the kubelet's HTTPS server, which the API server dials for what cannot go through objects:
//
//	GET  /containerLogs/NAMESPACE/POD/CONTAINER   kubectl logs: ?follow&tailLines&sinceSeconds&sinceTime&timestamps&limitBytes&previous&stream
//	     /exec/NAMESPACE/POD/CONTAINER            kubectl exec: ?command=…&input=1&output=1&error=1&tty=1
//	     /attach/NAMESPACE/POD/CONTAINER          kubectl attach: the same without command
//	     /portForward/NAMESPACE/POD               kubectl port-forward: ?port=… (WebSocket only)
//	GET  /pods                                    the pods of this node
//	GET  /healthz                                 ok
//
// Paths and parameters are those of upstream's kubelet.
//
// Streams (exec, attach, port-forward) are upgraded connections: SPDY/3.1 or WebSocket. The kubelet asks the
// runtime over CRI for a URL of its streaming server, which speaks both protocols, and passes the connection on,
// bytes for bytes. So the kubelet knows nothing of channels and frames.
//
// Who may: only a client with a certificate of the cluster's CA in the group system:masters, which the API
// server has. Whether a user may is decided there.
package server
