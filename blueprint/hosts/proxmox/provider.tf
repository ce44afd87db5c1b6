# The connection to Proxmox VE.
#
# The API token is read from PROXMOX_VE_API_TOKEN and stands in no file:
#
#   export PROXMOX_VE_API_TOKEN="$(op read op://lumacore/proxmox/token)"
#
# TLS is verified. Proxmox signs its certificate with a CA of its own
# (/etc/pve/pve-root-ca.pem on the host): trust that file on this computer, or give the
# host a certificate of a public CA. There is no variable to turn verification off.
provider "proxmox" {
  endpoint = var.proxmox_endpoint

  # SSH is used for one thing: Proxmox's API takes no snippets, and a cloud-init
  # document of our own is a snippet. They are written over SFTP by a user that can do
  # nothing else on the host; README.md makes that user. Its key comes from ssh-agent,
  # or from PROXMOX_VE_SSH_PRIVATE_KEY.
  ssh {
    agent    = var.ssh_agent
    username = var.ssh_username

    node {
      name    = var.proxmox_node
      address = local.ssh_address
      port    = var.ssh_port
    }
  }
}
