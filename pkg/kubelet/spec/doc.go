// Package spec turns a pod's spec into what the runtime understands: a sandbox's and a container's configuration.
//
// It is a translation and nothing else. What has to be looked up (config maps, secrets, services, where a volume
// is mounted, who the image runs as) is handed in; a piece that is missing is an error whose text the container
// shows under CreateContainerConfigError, in upstream's words.
package spec
