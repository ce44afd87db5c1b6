# What a script checks with conftest: a small part of what the gates images,
# podsecurity and schema look for.
package main

import rego.v1

template := input.spec.template.spec if input.kind in {"Deployment", "StatefulSet", "DaemonSet", "Job"}

template := input.spec.jobTemplate.spec.template.spec if input.kind == "CronJob"

containers contains c if some c in template.containers

containers contains c if some c in template.initContainers

deny contains msg if {
	some c in containers
	not contains(c.image, "@sha256:")
	msg := sprintf("%s %s: image %s has no digest", [input.kind, input.metadata.name, c.image])
}

deny contains msg if {
	some c in containers
	endswith(c.image, ":latest")
	msg := sprintf("%s %s: image %s has the tag latest", [input.kind, input.metadata.name, c.image])
}

deny contains msg if {
	some c in containers
	c.securityContext.privileged
	msg := sprintf("%s %s: container %s is privileged", [input.kind, input.metadata.name, c.name])
}

deny contains msg if {
	some c in containers
	not c.resources.requests
	msg := sprintf("%s %s: container %s requests no resources", [input.kind, input.metadata.name, c.name])
}

deny contains msg if {
	input.kind == "Secret"
	count(input.data) > 0
	msg := sprintf("Secret %s has data", [input.metadata.name])
}

deny contains msg if {
	input.kind == "Service"
	input.spec.type in {"NodePort", "LoadBalancer"}
	msg := sprintf("Service %s is of type %s", [input.metadata.name, input.spec.type])
}
