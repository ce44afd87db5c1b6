output "nodes" {
  description = "The machines: name, number in Proxmox and address."
  value = {
    for key, node in local.nodes : key => {
      name    = local.names[key]
      vm_id   = var.vm_ids[key]
      address = node.address
    }
  }
}

output "longhorn_device" {
  description = "The disk that install.sh formats, when it is empty, and mounts at /var/lib/longhorn."
  value       = local.longhorn_device
}

output "next" {
  description = "What to do when the machines are up."
  value       = <<-EOT
    Wait until the server is ready (a few minutes), and look at what cloud-init did:
      ssh ${var.admin_user}@${local.settings.SERVER_IP} cloud-init status --wait --long
      ssh ${var.admin_user}@${local.settings.SERVER_IP} sudo k3s kubectl get nodes
    All three nodes must be there and Ready. Then set protect_server = true and apply.
  EOT
}
